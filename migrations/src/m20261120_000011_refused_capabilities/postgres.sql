-- Capabilities that were asked for and that the account did not grant, or took back, each with
-- the scopes it lacks.
alter table connections add column capabilities_refused jsonb not null default '{}';
