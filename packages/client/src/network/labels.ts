/** What is kept of a container's network in the labels of its record, which every client sees. */
export const networkLabelNames = {
  /** "host", "none" or the name of a network of CNI: its first. */
  network: "hull/network",
  /** Where it was connected or disconnected since: all of its networks, as JSON. */
  networks: "hull/networks",
  /** Published ports, as JSON. */
  ports: "hull/ports",
  /** Whose it is: see `Place`. Containers of earlier versions have none. */
  owner: "hull/network-owner",
} as const;
