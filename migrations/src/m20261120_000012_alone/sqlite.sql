-- The job that a process makes room for or runs alone; it claims nothing else meanwhile.
alter table processes add column alone_with blob;
create unique index processes_alone on processes (alone_with) where ended_at is null and alone_with is not null;
-- Suspects that wait to be run alone.
create index jobs_alone on jobs (run_at, id) where state = 'queued' and crashes >= 2;
