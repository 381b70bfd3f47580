-- A retained message says nothing about its time by its receipt, also when it is tried again.
alter table quarantine add column retained boolean not null default false;

-- What was done about one thing.
create index audit_log_subject on audit_log (subject);
