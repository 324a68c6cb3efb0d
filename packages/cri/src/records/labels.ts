/** Label that tells pods' records (`sandbox`) from containers' (`container`). */
export const kindLabel = "io.cri-containerd.kind";
