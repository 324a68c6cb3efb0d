/**
 * CDI, the Container Device Interface (version 1.1.0), without I/O: names of devices, spec files, and what they change of a container.
 *
 *     parseCdiDocument(JSON.parse(text)) ──► its edits and its devices' ──► joinEdits ──► applyEdits(spec, edits, hostDevice)
 */
export * from "./cdi/document.ts";
export * from "./cdi/edits.ts";
export * from "./cdi/name.ts";
