/** What the benchmark uses of dockerode, which brings no types. */
declare module "dockerode" {
  export interface DockerContainer {
    start(): Promise<unknown>;
    /** Resolves when it has ended. */
    wait(): Promise<{ StatusCode: number }>;
    remove(): Promise<unknown>;
  }

  export default class Docker {
    constructor(options: { socketPath: string });
    createContainer(options: {
      Image: string;
      Cmd: readonly string[];
      HostConfig: { NetworkMode: string; LogConfig: { Type: string } };
    }): Promise<DockerContainer>;
  }
}
