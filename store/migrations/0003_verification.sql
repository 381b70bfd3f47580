-- What was concluded: states and findings of meters, assessments of zones, alerts and the inspector's decisions.

create table follower_cursor (
    follower   text primary key,
    commit_seq bigint not null,
    updated_at timestamptz not null default clock_timestamp()
);

-- The settings that a conclusion was made with, once per distinct content.
create table settings_snapshot (
    digest text primary key,
    body   jsonb not null
);

-- How far each meter's register steps are settled; see verifier/arrays.py (STATE) for the bytes of `state`.
-- Rebuilt from the readings at any time: emptying both tables only costs the work of checking anew.
create table meter_state (
    meter_id    integer primary key references meter,
    anchor_at   timestamptz not null,              -- everything before is settled; checks go on from this reading
    last_at     timestamptz not null,              -- the latest reading; after the anchor while an excursion is open
    total_micro bigint not null,                   -- accepted quantity up to the anchor, glitches left out
    state       bytea not null
) with (fillfactor = 50);                          -- every reading rewrites the row: leave it room to stay in its page

-- The same at earlier readings, so that late data need not be checked from the first reading on. A checkpoint serves
-- for readings later than `settled_at`.
create table meter_checkpoint (
    meter_id   integer not null references meter,
    anchor_at  timestamptz not null,
    settled_at timestamptz not null,
    state      bytea not null,
    primary key (meter_id, anchor_at)
);

create table finding (
    finding_id       bigint generated always as identity primary key,
    kind             text not null,
    severity         text not null check (severity in ('info', 'warning', 'alarm')),
    utility_id       integer not null references utility,
    meter_id         integer references meter,
    zone_id          integer references zone,
    starts_at        timestamptz not null,
    ends_at          timestamptz not null check (ends_at >= starts_at),
    detail           jsonb not null,               -- figures by name, units last
    evidence         jsonb not null,               -- readings: observed_at, register_micro, batch_id, message_no
    assessed_at      timestamptz not null,
    commit_seq       bigint not null,              -- the batch that brought it about
    software_version text not null,
    settings_digest  text not null references settings_snapshot,
    superseded_at    timestamptz,                  -- later data changed the picture; kept, no longer in force
    check (meter_id is not null or zone_id is not null)
);
create unique index finding_in_force on finding (meter_id, kind, starts_at) nulls not distinct
    where superseded_at is null and meter_id is not null;
create unique index finding_in_force_zone on finding (zone_id, kind, starts_at)
    where superseded_at is null and meter_id is null;
create index finding_meter on finding (meter_id, starts_at);
create index finding_kind on finding (kind, finding_id);

-- One row per meter and assessed window of its zone's balance.
create table assessment (
    assessment_id    bigint generated always as identity primary key,
    zone_id          integer not null references zone,
    meter_id         integer not null references meter,
    window_start     timestamptz not null,
    window_end       timestamptz not null check (window_end > window_start),
    error_pct        double precision,
    std_pct          double precision,
    mpe_pct          double precision,             -- null: no limit is stated for this meter
    p_nonconforming  double precision,
    outcome          text not null check (outcome in ('conforming', 'nonconforming', 'inconclusive', 'withheld')),
    reasons          jsonb not null default '[]',  -- [{code, text, data}]
    assessed_at      timestamptz not null,
    commit_seq       bigint not null,
    software_version text not null,
    settings_digest  text not null references settings_snapshot,
    unique (meter_id, zone_id, window_end)
);
create index assessment_zone on assessment (zone_id, window_end);

-- How far each zone was assessed; a late reading sets it back.
create table zone_state (
    zone_id          integer primary key references zone,
    assessed_through timestamptz not null
);

-- An alert is what an inspector works on: the findings of one kind at one meter (or zone) while it is open.
create table alert (
    alert_id         bigint generated always as identity primary key,
    kind             text not null,
    severity         text not null check (severity in ('warning', 'alarm')),
    utility_id       integer not null references utility,
    meter_id         integer references meter,
    zone_id          integer references zone,
    opened_at        timestamptz not null,         -- when the verifier raised it
    starts_at        timestamptz not null,         -- since when the meter is concerned
    last_at          timestamptz not null,
    findings         integer not null default 1,
    latest_finding_id bigint not null references finding,
    state            text not null default 'open' check (state in ('open', 'acknowledged', 'dismissed', 'confirmed', 'withdrawn')),
    check (meter_id is not null or zone_id is not null)
);
create unique index alert_at_work on alert (kind, meter_id, zone_id) nulls not distinct
    where state in ('open', 'acknowledged');
create index alert_inbox on alert (state, severity, alert_id);

-- Every change of an alert's state, who made it and why.
create table alert_event (
    alert_event_id bigint generated always as identity primary key,
    alert_id       bigint not null references alert,
    at             timestamptz not null default clock_timestamp(),
    actor          text not null,
    action         text not null check (action in ('raised', 'acknowledged', 'dismissed', 'confirmed', 'withdrawn')),
    reason         text not null default ''
);
create index alert_event_alert on alert_event (alert_id);
