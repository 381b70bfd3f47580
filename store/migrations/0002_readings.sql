-- What arrived: batches in commit order, readings exactly once, and everything that could not become a reading.

-- One row per transaction of a gateway. `commit_seq` is taken last, under the counter's row lock: the numbers of
-- committed batches have no holes and become visible in their order, so a follower needs one cursor only.
create table batch (
    batch_id        bigint generated always as identity primary key,
    commit_seq      bigint not null unique,
    gateway         text not null,
    received_at     timestamptz not null,          -- when the last of its messages arrived
    committed_at    timestamptz not null default clock_timestamp(),
    messages        integer not null,
    readings_in     integer not null,
    stored          integer not null,
    duplicates      integer not null,              -- already held: redelivered or repeated
    conflicting     integer not null,
    pending         integer not null,              -- of meters not registered yet
    rejected        integer not null,
    min_observed_at timestamptz,                   -- of the stored and conflicting readings
    max_observed_at timestamptz,
    message_digests bytea not null,                -- 16 bytes a message, in order: blake2b-128 of topic, NUL, payload
    archive         bytea,                         -- zstd of the raw messages, see store/archive.py
    check (readings_in = stored + duplicates + conflicting + pending + rejected),
    check (octet_length(message_digests) = 16 * messages)
);
alter table batch alter column archive set storage external;  -- compressed already

create table batch_counter (
    one        boolean primary key default true check (one),
    commit_seq bigint not null
);
insert into batch_counter (commit_seq) values (0);

-- Column order 8-8-8-4-2-2 leaves no padding. The indication as sent, in millionths of the base unit, before multipliers.
create table reading (
    observed_at    timestamptz not null,
    register_micro bigint not null,
    batch_id       bigint not null,
    meter_id       integer not null,
    status         smallint not null,
    message_no     smallint not null,
    primary key (meter_id, observed_at)
);
create index reading_batch on reading using brin (batch_id) with (pages_per_range = 32, autosummarize = on);

-- The same meter and time with another value or status: all are kept, the first to arrive is in `reading`.
create table reading_conflict (
    observed_at    timestamptz not null,
    register_micro bigint not null,
    batch_id       bigint not null,
    meter_id       integer not null,
    status         smallint not null,
    message_no     smallint not null,
    primary key (meter_id, observed_at, register_micro, status)
);
create index reading_conflict_batch on reading_conflict (batch_id);

-- The same reading sent again in another message (a redelivery of the same message leaves no row).
create table reading_repeat (
    meter_id       integer not null references meter,
    message_digest bytea not null,
    readings       integer not null,
    first_at       timestamptz not null,
    last_at        timestamptz not null,
    batch_id       bigint not null,
    primary key (meter_id, message_digest)
);
create index reading_repeat_batch on reading_repeat (batch_id);

-- Readings of meters that the registry does not know yet; registering the meter releases them.
create table pending_reading (
    utility_id     integer not null references utility,
    serial         text not null,
    medium         text not null,
    observed_at    timestamptz not null,
    register_micro bigint not null,
    status         smallint not null,
    batch_id       bigint not null,
    message_no     smallint not null,
    primary key (utility_id, serial, medium, observed_at, register_micro, status)
);

-- Messages and rows that could not become readings: evidence, with the raw bytes. Seen again, only the count rises.
create table quarantine (
    quarantine_id bigint generated always as identity primary key,
    message_digest bytea not null,
    reason        text not null,                   -- code, see gateway/reasons.py
    detail        text not null,                   -- place, value, remedy
    utility       text not null default '',        -- as the topic claims
    topic         text not null,
    payload       bytea not null,
    rows          integer[],                       -- the rows concerned; null: the whole message
    batch_id      bigint not null,
    received_at   timestamptz not null,
    deliveries    integer not null default 1,
    state         text not null default 'open' check (state in ('open', 'released', 'discarded')),
    unique (message_digest, reason)
);
create index quarantine_state on quarantine (state, quarantine_id);

do $$
begin
    -- A hypertable where TimescaleDB is loaded, the plain table otherwise; the same SQL works on both.
    if current_setting('shared_preload_libraries') like '%timescaledb%' then
        create extension if not exists timescaledb;
        perform create_hypertable('reading', by_range('observed_at', interval '7 days'), create_default_indexes => false);
    end if;
end
$$;
