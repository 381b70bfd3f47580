-- Who and where: utilities, zones, service points, meters and where each was installed when.
-- Identity is by device and place; everything that changes over time is effective-dated, half-open.
create extension if not exists btree_gist;

create table utility (
    utility_id integer generated always as identity primary key,
    code       text not null unique check (code ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'),
    name       text not null default ''
);

create table zone (
    zone_id        integer generated always as identity primary key,
    utility_id     integer not null references utility,
    code           text not null check (code <> '' and length(code) <= 128),
    medium         text not null check (medium in ('electricity', 'water', 'gas')),
    parent_zone_id integer references zone check (parent_zone_id <> zone_id),
    interval_s     integer not null default 3600 check (interval_s between 1 and 86400),
    -- standard uncertainty of the constant error of the zone's reference [%]
    reference_uncertainty_pct double precision not null default 0.3 check (reference_uncertainty_pct >= 0),
    unique (utility_id, code)
);

create table service_point (
    service_point_id integer generated always as identity primary key,
    utility_id       integer not null references utility,
    code             text not null check (code <> '' and length(code) <= 128),
    unique (utility_id, code)
);

-- A service point lies in one zone at a time; that zone's parents contain it too.
create table zone_membership (
    zone_membership_id integer generated always as identity primary key,
    zone_id            integer not null references zone,
    service_point_id   integer not null references service_point,
    during             tstzrange not null default tstzrange(null, null) check (not isempty(during)),
    exclude using gist (service_point_id with =, during with &&)
);
create index zone_membership_zone on zone_membership (zone_id);

create table meter (
    meter_id               integer generated always as identity primary key,
    utility_id             integer not null references utility,
    serial                 text not null check (serial <> '' and length(serial) <= 128),
    medium                 text not null check (medium in ('electricity', 'water', 'gas')),
    unit                   text not null,
    resolution_micro       bigint not null check (resolution_micro > 0),
    register_modulus_micro bigint check (register_modulus_micro > 0),
    accuracy_class         text not null default '',
    manufacturer           text not null default '',
    model                  text not null default '',
    lot                    text not null default '',
    validity_until         date,
    mpe_pct                double precision check (mpe_pct > 0),
    prior_sd_pct           double precision check (prior_sd_pct > 0),
    registered_at          timestamptz not null default now(),
    unique (utility_id, serial)
);

-- A meter exchange closes one installation and opens the next.
create table installation (
    installation_id      integer generated always as identity primary key,
    meter_id             integer not null references meter,
    service_point_id     integer not null references service_point,
    role                 text not null check (role in ('customer', 'reference', 'check')),
    direction            text not null default 'import' check (direction in ('import', 'export')),
    phase                text not null default '123' check (phase in ('1', '2', '3', '123')),
    multiplier           numeric not null default 1 check (multiplier > 0),
    during               tstzrange not null check (not isempty(during)),
    start_register_micro bigint,
    end_register_micro   bigint,
    exclude using gist (meter_id with =, during with &&),
    exclude using gist (service_point_id with =, role with =, direction with =, phase with =, during with &&)
);
create index installation_service_point on installation (service_point_id);

create table reference_standard (
    reference_standard_id    integer generated always as identity primary key,
    utility_id               integer references utility,
    code                     text not null,
    meter_id                 integer references meter,
    certificate              text not null,
    issued_by                text not null default '',
    expanded_uncertainty_pct double precision not null check (expanded_uncertainty_pct > 0),
    coverage_factor          double precision not null default 2 check (coverage_factor > 0),
    valid_from               date not null,
    valid_until              date not null check (valid_until > valid_from),
    unique nulls not distinct (utility_id, code, valid_from)
);

-- Raised by every change of the registry, so that a gateway knows when its identity map is stale.
create table registry_version (
    one     boolean primary key default true check (one),
    version bigint not null
);
insert into registry_version (version) values (0);

create table audit_log (
    audit_id bigint generated always as identity primary key,
    at       timestamptz not null default now(),
    actor    text not null,
    action   text not null,
    subject  text not null,
    detail   jsonb not null default '{}'
);
