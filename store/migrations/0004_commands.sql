-- Who carries which meter, what was asked of whom and what came of it, and how each device's clock runs.

-- A sender of native readings, by its topic mp/v1/{utility}/{gateway}/readings; commands go to …/cmd beside it.
create table concentrator (
    concentrator_id     integer generated always as identity primary key,
    utility_id          integer not null references utility,
    gateway             text not null,
    last_observed_at    timestamptz not null,      -- the latest reading that it carried, none from the future
    marked_observed_at  timestamptz,               -- last_observed_at as it was at `marked_at`
    marked_at           timestamptz,
    settled_observed_at timestamptz,               -- passed for long enough: what lacks before is missing, not late
    looked_at           timestamptz,               -- when its meters were last looked at for missing readings
    unanswered          integer not null default 0, -- successive commands that it left without any answer
    asks_after          timestamptz,               -- nothing is asked before: it does not answer
    unique (utility_id, gateway)
);

-- Which concentrator carried the meter's last reading; written where that changes.
create table meter_route (
    meter_id        integer primary key references meter,
    concentrator_id integer not null references concentrator,
    whole_until     timestamptz not null,          -- every reading before is there, or was given up
    looked_at       timestamptz
);
create index meter_route_concentrator on meter_route (concentrator_id);

-- A command is written before it is sent, and sent again under the same id until the broker has taken it.
create table command (
    command_id      text primary key,
    concentrator_id integer not null references concentrator,
    kind            text not null check (kind in ('read_profile', 'sync_clock')),
    body            text not null,                 -- as sent
    state           text not null default 'open'
                    check (state in ('open', 'sent', 'acknowledged', 'answered', 'expired', 'failed')),
    reason          text not null default '',
    created_at      timestamptz not null,
    expires_at      timestamptz not null,
    check_at        timestamptz not null,          -- when to see next what came of it
    sent_at         timestamptz,
    acknowledged_at timestamptz,                   -- the first acknowledgement of any kind
    done_at         timestamptz,                   -- the concentrator says that it did what it could
    has_failed      boolean not null default false, -- it says that it could not do it at all
    closed_at       timestamptz,
    points          integer not null default 0,    -- readings asked for
    arrived         integer not null default 0     -- of these, there when it was closed
);
create index command_active on command (check_at) where state in ('open', 'sent', 'acknowledged');
create index command_concentrator on command (concentrator_id, created_at);

-- What a command asks of each meter: the readings at the grid points in [starts_at, ends_at), or (null) its clock.
create table command_target (
    command_id text not null references command,
    target_no  integer not null,
    meter_id   integer not null references meter,
    interval_s integer,
    starts_at  timestamptz,
    ends_at    timestamptz,
    attempt    smallint not null,                  -- counted from 1
    points     integer not null default 0,
    arrived    integer not null default 0,
    outcome    text check (outcome in ('complete', 'retry', 'given_up')),  -- null while the command is under way
    retry_at   timestamptz,
    reason     text not null default '',           -- what the concentrator said of this meter, or why it was given up
    primary key (command_id, target_no),
    check ((starts_at is null) = (ends_at is null) and (starts_at is null) = (interval_s is null)),
    check (starts_at < ends_at)
);
create index command_target_meter on command_target (meter_id, ends_at);

-- Provenance of re-read values: the messages that answered a command. A reading leads here by its batch and message.
create table command_answer (
    command_id text not null references command,
    batch_id   bigint not null,
    message_no integer not null,
    readings   integer not null,                   -- of the message, those that were stored
    primary key (command_id, batch_id, message_no)
);
create index command_answer_batch on command_answer (batch_id);

-- Device clocks against the receiver's: the envelope of the arrivals (see gateway/clocks.py for `state`), and the
-- offset [s, above 0: ahead] concluded from it with the bounds of its confidence interval.
create table clock_offset (
    meter_id        integer primary key references meter,
    state           bytea not null,
    samples         integer not null default 0,
    offset_s        double precision,
    low_s           double precision,
    high_s          double precision,
    estimated_at    timestamptz,
    synchronised_at timestamptz                    -- when a concentrator last said that it had set the clock
) with (fillfactor = 50);
