-- What is believed of meters before their zone's data, as learned from their like in all zones and applied by a person.

-- Nothing is overwritten: an application is for days later than all before it, so that earlier outcomes stay explained.
create table meter_prior (
    meter_id         integer not null references meter,
    from_at          timestamptz not null,         -- for histories that end after it
    mean_pct         double precision not null check (mean_pct between -100 and 100),
    sd_pct           double precision not null check (sd_pct > 0 and sd_pct <= 100),
    common_pct       double precision not null check (common_pct >= 0 and common_pct <= 100),
    source           text not null,                -- type, lot and age, and how many meters and zones told of them
    applied_by       text not null,
    applied_at       timestamptz not null default clock_timestamp(),
    commit_seq       bigint not null,              -- the last batch that it rests on
    software_version text not null,
    settings_digest  text not null references settings_snapshot,
    primary key (meter_id, from_at)
);
