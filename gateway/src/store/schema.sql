CREATE TABLE databases (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  config TEXT NOT NULL,
  version INTEGER NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  started INTEGER NOT NULL,
  last_seq INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0
);
-- The current revision of each document.
CREATE TABLE docs (
  num INTEGER PRIMARY KEY,
  db INTEGER NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  rev TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  body TEXT NOT NULL,
  atts TEXT,
  chans TEXT NOT NULL,
  tree TEXT NOT NULL,
  exp INTEGER
);
CREATE UNIQUE INDEX docs_id ON docs (db, id);
CREATE UNIQUE INDEX docs_seq ON docs (db, seq);
CREATE INDEX docs_exp ON docs (exp) WHERE exp IS NOT NULL;
-- Bodies of other revisions: superseded ones for a while, losing leaves for good.
CREATE TABLE bodies (
  num INTEGER NOT NULL,
  rev TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  body TEXT NOT NULL,
  atts TEXT,
  chans TEXT NOT NULL,
  until INTEGER,
  PRIMARY KEY (num, rev)
) WITHOUT ROWID;
CREATE INDEX bodies_until ON bodies (until) WHERE until IS NOT NULL;
CREATE TABLE attachments (
  num INTEGER NOT NULL,
  digest TEXT NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (num, digest)
) WITHOUT ROWID;
-- Which documents are in a channel, or have left it, by sequence.
CREATE TABLE channel_log (
  db INTEGER NOT NULL,
  channel TEXT NOT NULL,
  seq INTEGER NOT NULL,
  num INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  PRIMARY KEY (db, channel, seq)
) WITHOUT ROWID;
CREATE TABLE principals (
  db INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  seq INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (db, kind, name)
) WITHOUT ROWID;
-- What documents grant: kind 0 a channel, kind 1 a role.
CREATE TABLE grants (
  db INTEGER NOT NULL,
  grantee TEXT NOT NULL,
  kind INTEGER NOT NULL,
  target TEXT NOT NULL,
  num INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (db, grantee, kind, target, num)
) WITHOUT ROWID;
CREATE INDEX grants_doc ON grants (num);
CREATE TABLE sessions (
  db INTEGER NOT NULL,
  hash TEXT NOT NULL,
  user TEXT NOT NULL,
  stamp TEXT NOT NULL,
  ttl INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (db, hash)
) WITHOUT ROWID;
CREATE INDEX sessions_expires ON sessions (expires);
CREATE TABLE locals (
  db INTEGER NOT NULL,
  id TEXT NOT NULL,
  rev INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (db, id)
) WITHOUT ROWID;
CREATE TABLE design_docs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  db INTEGER NOT NULL,
  name TEXT NOT NULL,
  source TEXT NOT NULL,
  indexed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (db, name)
);
CREATE TABLE view_rows (
  ddoc INTEGER NOT NULL,
  view INTEGER NOT NULL,
  key BLOB NOT NULL,
  id TEXT NOT NULL,
  n INTEGER NOT NULL,
  num INTEGER NOT NULL,
  key_json TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (ddoc, view, key, id, n)
) WITHOUT ROWID;
CREATE INDEX view_rows_doc ON view_rows (num, ddoc);
