export type * from "./rpc.ts";
