/** Trees of control groups made of plain files, as kernels have them, for tests. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Groups } from "./groups.ts";

const v1Controllers = ["cpu", "cpuacct", "memory", "pids", "blkio", "name=systemd"];

/** What a group's files say. */
export interface FakeUse {
  cpuNs?: number;
  memory?: number;
  limit?: number;
  inactiveFile?: number;
  swap?: number;
  swapLimit?: number;
  tasks?: number;
}

export class FakeGroups implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), "hull-groups-"));
  readonly #version: 1 | 2;
  readonly groups: Groups;

  constructor(version: 1 | 2) {
    this.#version = version;
    const of = (name: string): string => join(this.#root, name);
    const controllers = Object.fromEntries(v1Controllers.map((name) => [name, of(name)]));
    // Version 1 as on a hybrid host: with an empty tree of version 2 beside it.
    this.groups = new Groups(() => ({ controllers: version === 1 ? controllers : {}, unified: of("unified") }));
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }

  write(group: string, use: FakeUse): void {
    const texts = this.#version === 1 ? textsV1(use) : textsV2(use);
    for (const [directory, files] of Object.entries(texts)) {
      const at = join(this.#root, directory, group);
      mkdirSync(at, { recursive: true });
      for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), `${text}\n`);
    }
  }

  remove(group: string): void {
    for (const name of [...v1Controllers, "unified"])
      rmSync(join(this.#root, name, group), { recursive: true, force: true });
  }
}

type Texts = Record<string, Record<string, string | number>>;

function textsV1(use: FakeUse): Texts {
  const { cpuNs = 0, memory = 0, limit, inactiveFile = 0, swap = 0, swapLimit, tasks = 0 } = use;
  const none = "9223372036854771712";
  const both = swapLimit === undefined || limit === undefined ? none : swapLimit + limit;
  return {
    cpuacct: { "cpuacct.usage": cpuNs, "cpuacct.stat": `user ${cpuNs / 1e7}\nsystem 0` },
    cpu: { "cpu.stat": "nr_periods 10\nnr_throttled 2\nthrottled_time 3000000000" },
    memory: {
      "memory.usage_in_bytes": memory,
      "memory.limit_in_bytes": limit ?? none,
      "memory.max_usage_in_bytes": memory * 2,
      "memory.failcnt": 4,
      "memory.kmem.usage_in_bytes": 4096,
      "memory.stat": `rss 1\ninactive_file 7\nhierarchical_memory_limit ${limit ?? none}\nhierarchical_memsw_limit ${both}
total_rss 100\ntotal_cache 50\ntotal_mapped_file 5\ntotal_swap ${swap}\ntotal_pgfault 11\ntotal_pgmajfault 3
total_inactive_file ${inactiveFile}\ntotal_active_file 6`,
      "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 9",
    },
    pids: { "pids.current": tasks, "pids.max": "max" },
    blkio: {
      "blkio.throttle.io_service_bytes_recursive": "250:77 Read 4096\n250:77 Write 0\nTotal 4096",
      "blkio.throttle.io_serviced_recursive": "250:77 Read 2\n250:77 Write 0\nTotal 2",
    },
  };
}

function textsV2(use: FakeUse): Texts {
  const { cpuNs = 0, memory = 0, limit = "max", inactiveFile = 0, swap = 0, swapLimit = "max", tasks = 0 } = use;
  const pressure = (total: number): string =>
    ["some", "full"].map((kind) => `${kind} avg10=1.50 avg60=0.25 avg300=0.00 total=${total}`).join("\n");
  return {
    unified: {
      "cpu.stat": `usage_usec ${cpuNs / 1000}\nuser_usec ${cpuNs / 1000}\nsystem_usec 0
nr_periods 10\nnr_throttled 2\nthrottled_usec 3000000`,
      "cpu.pressure": pressure(1_000_000),
      "memory.current": memory,
      "memory.max": limit,
      "memory.peak": memory * 2,
      "memory.stat": `anon 100\nfile 50\nkernel 4096\nfile_mapped 5\ninactive_anon 8\ninactive_file ${inactiveFile}
active_file 6\nworkingset_refault_file 1\npgfault 11\npgmajfault 3`,
      "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 9",
      "memory.swap.current": swap,
      "memory.swap.max": swapLimit,
      "memory.pressure": pressure(2_000_000),
      "pids.current": tasks,
      "pids.max": "max",
      "io.stat": "250:77 rbytes=4096 wbytes=0 rios=2 wios=0 dbytes=0 dios=0",
      "io.pressure": pressure(3_000_000),
      "cgroup.procs": "",
    },
  };
}
