import { SqlContainerStore } from "../containers/store.ts";
import { SqlImageStore } from "../images/store.ts";
import { SqlLeaseStore } from "../leases/store.ts";
import { SqlNamespaceStore } from "../namespaces/store.ts";
import { SqlSandboxStore } from "../sandbox/store.ts";
import type { StoreOptions } from "./store-options.ts";

/** Every store of records over one metadata. Content and snapshots, which have bytes on disk too, are opened on their own. */
export function openMetadataStores(options: StoreOptions) {
  return {
    namespaces: new SqlNamespaceStore(options),
    images: new SqlImageStore(options),
    containers: new SqlContainerStore(options),
    leases: new SqlLeaseStore(options),
    sandboxes: new SqlSandboxStore(options),
  };
}

export type MetadataStores = ReturnType<typeof openMetadataStores>;
