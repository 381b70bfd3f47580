-- What else the balance tells of a meter and of its zone, and which zones have to be assessed again.

alter table assessment
    add column change_at timestamptz,              -- when the error left its former level, if it is believed to have
    add column decidable boolean,                  -- whether the uncertainty allows a verdict
    add column contributions_pct jsonb;            -- parts of std_pct by what they come from; their squares add up

-- How well each zone was understood at each day's end. Shares are of the mean load.
create table zone_report (
    zone_id          integer not null references zone,
    window_end       timestamptz not null,
    groups           integer not null,
    collected_pct    double precision not null,
    loss_pct         double precision,
    noise_share_pct  double precision,
    unmetered        double precision,             -- load that no meter shows, base unit an interval
    unmetered_since  timestamptz,
    decidable        integer not null,             -- meters of which a verdict can be had
    remedies         jsonb not null default '[]',  -- [{code, text, newly_decidable, std_fall_pct, data}], the best first
    reasons          jsonb not null default '[]',  -- [{code, text, data}] that withhold the zone's verdicts
    assessed_at      timestamptz not null,
    commit_seq       bigint not null,
    software_version text not null,
    settings_digest  text not null references settings_snapshot,
    primary key (zone_id, window_end)
);

-- Zones whose days from a time on are to be assessed again, since a test on site was recorded afterwards. Written with
-- the test, taken out by the verifier.
create table zone_recheck (
    zone_recheck_id bigint generated always as identity primary key,
    zone_id         integer not null references zone,
    from_at         timestamptz not null
);
