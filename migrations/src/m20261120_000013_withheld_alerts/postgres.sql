-- It came back so soon after the last message that none was sent: since when one waits for the
-- end of the quiet period.
alter table alerts add column withheld_at timestamptz;
