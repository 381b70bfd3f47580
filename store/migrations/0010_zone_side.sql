-- What is known of zones beside their readings: resistances of the paths that customers share, and conditions.

-- One part of a zone as it was brought in. Nothing is overwritten: what goes out of force names the import that took its place.
create table side_import (
    side_import_id bigint generated always as identity primary key,
    zone_id        integer not null references zone,
    part           text not null check (part in ('resistances', 'conditions')),
    source         text not null,                  -- the file
    imported_by    text not null,
    imported_at    timestamptz not null default clock_timestamp()
);

-- By meters, not by position, so that customers who come or go leave the others' paths as they are.
create table zone_network (
    side_import_id bigint primary key references side_import,
    zone_id        integer not null references zone,
    meter_ids      integer[] not null,
    resistance_ohm double precision[] not null,    -- row by row, each meter's with those up to itself
    neutral_ratio  double precision not null,      -- resistance of the neutral over that of a phase conductor
    superseded_by  bigint references side_import,
    check (neutral_ratio >= 0),
    check (cardinality(resistance_ohm) = cardinality(meter_ids) * (cardinality(meter_ids) + 1) / 2)
);
create unique index zone_network_in_force on zone_network (zone_id) where superseded_by is null;

create table zone_condition (
    zone_id          integer not null references zone,
    observed_at      timestamptz not null,
    pressure_m       double precision,             -- water: of a column of water
    temperature_degc double precision,             -- gas
    atmospheric_hpa  double precision,             -- gas
    side_import_id   bigint not null references side_import,
    superseded_by    bigint references side_import,
    primary key (zone_id, observed_at, side_import_id),
    check (num_nonnulls(pressure_m, temperature_degc, atmospheric_hpa) > 0)
);
create unique index zone_condition_in_force on zone_condition (zone_id, observed_at) where superseded_by is null;
