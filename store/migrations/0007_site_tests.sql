-- What inspectors found when they tested a meter where it is installed.

-- Nothing is overwritten: a correction is a new row, and the one that it corrects stays with its `superseded_at`.
create table site_test (
    site_test_id          bigint generated always as identity primary key,
    meter_id              integer not null references meter,
    tested_at             timestamptz not null,
    reference_standard_id integer not null references reference_standard,
    -- the standard as its certificate stated it when the test was recorded
    certificate           text not null,
    standard_expanded_uncertainty_pct double precision not null check (standard_expanded_uncertainty_pct > 0),
    standard_coverage_factor          double precision not null check (standard_coverage_factor > 0),
    standard_valid_from   date not null,
    standard_valid_until  date not null check (standard_valid_until > standard_valid_from),
    tested_by             text not null check (tested_by <> ''),
    note                  text not null default '',
    alert_id              bigint references alert,   -- the alert that led to the test
    recorded_by           text not null,             -- who brought it in
    recorded_at           timestamptz not null default clock_timestamp(),
    supersedes_id         bigint unique references site_test,
    superseded_at         timestamptz
);
create unique index site_test_in_force on site_test (meter_id, tested_at) where superseded_at is null;
create index site_test_alert on site_test (alert_id) where alert_id is not null;

-- Errors of indication found at loads: kW, or m3/h, at the meter, before an installation's multiplier.
create table site_test_point (
    site_test_id             bigint not null references site_test,
    point_no                 smallint not null,      -- counted from 1, by ascending load
    load                     double precision not null check (load > 0 and load < 'infinity'),
    error_pct                double precision not null check (error_pct between -100 and 1000),
    expanded_uncertainty_pct double precision not null check (expanded_uncertainty_pct > 0 and expanded_uncertainty_pct <= 100),
    coverage_factor          double precision not null check (coverage_factor >= 1 and coverage_factor <= 20),
    primary key (site_test_id, point_no)
);
