/** What is kept of a container's network in the labels of its record, which every client sees. */
export const networkLabelNames = {
  /** "host", "none" or the name of a network of CNI. */
  network: "hull/network",
  /** Published ports, as JSON. */
  ports: "hull/ports",
  /** Whose it is: see `Place`. Containers of earlier versions have none. */
  owner: "hull/network-owner",
} as const;
