-- What principals had and lost: kind 0 a channel, kind 1 a role, from one sequence up to another.
CREATE TABLE IF NOT EXISTS losses (
  db INTEGER NOT NULL,
  grantee TEXT NOT NULL,
  kind INTEGER NOT NULL,
  target TEXT NOT NULL,
  gained INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  PRIMARY KEY (db, grantee, kind, target, lost)
) WITHOUT ROWID;
