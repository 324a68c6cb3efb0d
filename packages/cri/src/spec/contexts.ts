/** Where making a container fails, in containerd's words. */
export const contexts = {
  options: (id: string) => `failed to generate container ${JSON.stringify(id)} spec: failed to generate spec opts`,
  spec: (id: string) => `failed to generate container ${JSON.stringify(id)} spec: failed to generate spec`,
  containerOptions: "failed to get container spec opts",
  container: "failed to create containerd container",
} as const;
