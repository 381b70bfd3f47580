-- A dwelling's service point holds a meter of each medium at the same time, and lies in a zone of each medium.
-- The medium stands beside each installation and membership, so that the constraints and joins can tell them apart;
-- it is the meter's (or the zone's), which never changes, whatever the writer says.
alter table installation add column medium text;
update installation i set medium = m.medium from meter m where m.meter_id = i.meter_id;
alter table installation alter column medium set not null;
alter table installation drop constraint installation_service_point_id_role_direction_phase_during_excl;
alter table installation add constraint installation_place_during_excl exclude using gist
    (service_point_id with =, medium with =, role with =, direction with =, phase with =, during with &&);

alter table zone_membership add column medium text;
update zone_membership m set medium = z.medium from zone z where z.zone_id = m.zone_id;
alter table zone_membership alter column medium set not null;
alter table zone_membership drop constraint zone_membership_service_point_id_during_excl;
alter table zone_membership add constraint zone_membership_place_during_excl exclude using gist
    (service_point_id with =, medium with =, during with &&);

create function medium_of_meter() returns trigger language plpgsql as $$
begin
    select medium into new.medium from meter where meter_id = new.meter_id;
    return new;
end $$;
create trigger installation_medium before insert or update on installation
    for each row execute function medium_of_meter();

create function medium_of_zone() returns trigger language plpgsql as $$
begin
    select medium into new.medium from zone where zone_id = new.zone_id;
    return new;
end $$;
create trigger zone_membership_medium before insert or update on zone_membership
    for each row execute function medium_of_zone();

-- Meters of which no one knows how long they may be used are counted beside the replacement list.
create index meter_without_validity on meter (meter_id) where validity_until is null;
