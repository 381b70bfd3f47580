-- What a meter's weeks say of small loads; see verifier/light_load.py for the digest.
-- Rebuilt from the readings at any time: emptying both tables only costs the work of reading them anew.
create table light_load_week (
    meter_id   integer not null references meter,
    week_start timestamptz not null,
    digest     jsonb not null,
    primary key (meter_id, week_start)
);

create table light_load_state (
    meter_id         integer primary key references meter,
    assessed_through timestamptz not null,
    basis            bigint not null               -- of the registry's facts and the settings behind the digests
);
