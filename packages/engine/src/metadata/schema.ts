/**
 * The tables of the metadata, as migrations: version n is reached by running `migrations[n - 1]`. A landed one is never changed; a new
 * one is added. Times are nanoseconds since 1970 (INTEGER); labels, annotations and extensions are JSON objects (values of extensions:
 * `[typeUrl, base64]`).
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    labels TEXT NOT NULL DEFAULT '{}'
  ) WITHOUT ROWID;

  CREATE TABLE images (
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    target_digest TEXT NOT NULL,
    target_media_type TEXT NOT NULL,
    target_size INTEGER NOT NULL,
    target TEXT NOT NULL, -- the descriptor whole, JSON
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, name)
  ) WITHOUT ROWID;

  CREATE TABLE containers (
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    image TEXT NOT NULL,
    runtime_name TEXT NOT NULL,
    runtime_options_type TEXT,
    runtime_options BLOB,
    spec_type TEXT NOT NULL,
    spec BLOB NOT NULL,
    snapshotter TEXT NOT NULL,
    snapshot_key TEXT NOT NULL,
    sandbox TEXT NOT NULL,
    extensions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  );

  CREATE TABLE blobs (
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, digest)
  ) WITHOUT ROWID;
  CREATE INDEX blobs_by_digest ON blobs(digest);

  CREATE TABLE ingests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of the name on disk
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    ref TEXT NOT NULL,
    expected TEXT NOT NULL,
    expires_at INTEGER, -- null: a lease keeps it
    UNIQUE (namespace, ref)
  );

  CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- names the directory
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    snapshotter TEXT NOT NULL,
    key TEXT NOT NULL,
    parent_id INTEGER REFERENCES snapshots(id),
    kind TEXT NOT NULL CHECK (kind IN ('active', 'view', 'committed')),
    labels TEXT NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, -- of a committed one
    inodes INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (namespace, snapshotter, key)
  );
  CREATE INDEX snapshots_by_parent ON snapshots(parent_id);

  CREATE TABLE leases (
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  ) WITHOUT ROWID;

  CREATE TABLE lease_resources (
    namespace TEXT NOT NULL,
    lease TEXT NOT NULL,
    type TEXT NOT NULL, -- content, ingests, snapshots/<snapshotter>, images
    id TEXT NOT NULL,
    PRIMARY KEY (namespace, lease, type, id),
    FOREIGN KEY (namespace, lease) REFERENCES leases(namespace, id) ON DELETE CASCADE
  ) WITHOUT ROWID;

  CREATE TABLE sandboxes (
    namespace TEXT NOT NULL REFERENCES namespaces(name),
    id TEXT NOT NULL,
    labels TEXT NOT NULL,
    runtime_name TEXT NOT NULL,
    runtime_options_type TEXT,
    runtime_options BLOB,
    spec_type TEXT,
    spec BLOB,
    sandboxer TEXT NOT NULL,
    extensions TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
  ) WITHOUT ROWID;
  `,
  // What another process, which keeps the snapshot, knows it by; null: hull keeps it itself.
  `ALTER TABLE snapshots ADD COLUMN backend TEXT;`,
  // Committed, but perhaps not on disk; `boot` is the kernel's boot_id of that time.
  `CREATE TABLE unsynced_snapshots (
    id INTEGER PRIMARY KEY REFERENCES snapshots(id) ON DELETE CASCADE,
    directory TEXT NOT NULL,
    boot TEXT NOT NULL
  );`,
  // Activated mounts. They hold no namespace: what is left of a deleted one is taken down by the collector.
  `
  CREATE TABLE mounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- names the directory
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    lease TEXT NOT NULL, -- empty: none
    info TEXT, -- what was mounted and what is left to mount, JSON; null: not done yet
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (namespace, name)
  );
  `,
];
