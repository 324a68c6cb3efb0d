/**
 * Every function of libc that hull calls, as data, so that any foreign function loader can serve them.
 *
 * `type` names are C's on a 64-bit Linux: `int` and `uint` have 32 bits, `long` and `ulong` 64. A `long` result is a
 * number where that is exact. `bytes` is a pointer to a buffer of ours (or null), `string` one to bytes that end with a
 * NUL, `pointer` an address. `symbol` is given where the name in libc is another one: calls without a wrapper in older
 * versions of libc go through syscall(2), each with the types of its own arguments.
 */

/** The types that cross the border. */
export type CType = "int" | "uint" | "long" | "ulong" | "bytes" | "string" | "pointer" | "void";

/** How one function is called. */
export interface Call {
  readonly symbol?: string;
  readonly args: readonly CType[];
  readonly result: CType;
}

/** A call by number: the number comes first, and libc sets errno as for any other. */
const byNumber = (...args: CType[]) => ({ symbol: "syscall", args: ["long", ...args], result: "long" }) as const;

const int = "int";
const path = "string";

export const calls = {
  // Time
  clock_gettime: { args: [int, "bytes"], result: int },

  // Memory
  madvise: { args: ["pointer", "ulong", int], result: int },

  // File systems
  mount: { args: ["string", path, "string", "ulong", "string"], result: int },
  umount2: { args: [path, int], result: int },
  chroot: { args: [path], result: int },
  pivot_root: { args: ["string", "string"], result: int },
  fsopen: byNumber("string", "uint"),
  fsconfig: byNumber(int, "uint", "string", "string", int),
  fsmount: byNumber(int, "uint", "uint"),
  move_mount: byNumber(int, "string", int, "string", "uint"),
  open_tree: byNumber(int, "string", "uint"),
  mount_setattr: byNumber(int, "string", "uint", "bytes", "ulong"),

  // Files
  open: { args: [path, int, "uint"], result: int },
  openat: { args: [int, path, int, "uint"], result: int },
  openat2: byNumber(int, path, "bytes", "ulong"),
  close: { args: [int], result: int },
  close_range: byNumber("uint", "uint", "uint"),
  dup3: { args: [int, int, int], result: int },
  fcntl: { args: [int, int, "long"], result: int },
  pipe2: { args: ["bytes", int], result: int },
  read: { args: [int, "bytes", "ulong"], result: "long" },
  write: { args: [int, "bytes", "ulong"], result: "long" },
  splice: { args: [int, "bytes", int, "bytes", "ulong", "uint"], result: "long" },
  copy_file_range: { args: [int, "bytes", int, "bytes", "ulong", "uint"], result: "long" },
  sendfile: { args: [int, int, "bytes", "ulong"], result: "long" },
  lseek: { args: [int, "long", int], result: "long" },
  fallocate: { args: [int, int, "long", "long"], result: int },
  fsync: { args: [int], result: int },
  fdatasync: { args: [int], result: int },
  syncfs: { args: [int], result: int },
  getdents64: byNumber(int, "bytes", "ulong"),
  flock: { args: [int, int], result: int },
  memfd_create: { args: ["string", "uint"], result: int },
  eventfd: { args: ["uint", int], result: int },
  inotify_init1: { args: [int], result: int },
  inotify_add_watch: { args: [int, path, "uint"], result: int },
  inotify_rm_watch: { args: [int, int], result: int },
  epoll_create1: { args: [int], result: int },
  epoll_ctl: { args: [int, int, int, "bytes"], result: int },
  epoll_wait: { args: [int, "bytes", int, int], result: int },
  mkfifo: { args: [path, "uint"], result: int },
  mknod: { args: [path, "uint", "ulong"], result: int },
  fchownat: { args: [int, path, "uint", "uint", int], result: int },
  utimensat: { args: [int, path, "bytes", int], result: int },
  linkat: { args: [int, path, int, path, int], result: int },
  renameat2: byNumber(int, path, int, path, "uint"),
  getxattr: { args: [path, "string", "bytes", "ulong"], result: "long" },
  lgetxattr: { args: [path, "string", "bytes", "ulong"], result: "long" },
  fgetxattr: { args: [int, "string", "bytes", "ulong"], result: "long" },
  setxattr: { args: [path, "string", "bytes", "ulong", int], result: int },
  lsetxattr: { args: [path, "string", "bytes", "ulong", int], result: int },
  fsetxattr: { args: [int, "string", "bytes", "ulong", int], result: int },
  listxattr: { args: [path, "bytes", "ulong"], result: "long" },
  llistxattr: { args: [path, "bytes", "ulong"], result: "long" },
  flistxattr: { args: [int, "bytes", "ulong"], result: "long" },
  removexattr: { args: [path, "string"], result: int },
  lremovexattr: { args: [path, "string"], result: int },
  fremovexattr: { args: [int, "string"], result: int },
  ioctl: { args: [int, "ulong", "bytes"], result: int },
  ioctlValue: { symbol: "ioctl", args: [int, "ulong", "long"], result: int },

  // Terminals
  tcgetattr: { args: [int, "bytes"], result: int },
  tcsetattr: { args: [int, int, "bytes"], result: int },
  cfmakeraw: { args: ["bytes"], result: "void" },

  // Sockets
  socket: { args: [int, int, int], result: int },
  socketpair: { args: [int, int, int, "bytes"], result: int },
  bind: { args: [int, "bytes", "uint"], result: int },
  listen: { args: [int, int], result: int },
  accept4: { args: [int, "bytes", "bytes", int], result: int },
  connect: { args: [int, "bytes", "uint"], result: int },
  shutdown: { args: [int, int], result: int },
  getsockopt: { args: [int, int, int, "bytes", "bytes"], result: int },
  setsockopt: { args: [int, int, int, "bytes", "uint"], result: int },
  sendmsg: { args: [int, "bytes", int], result: "long" },
  recvmsg: { args: [int, "bytes", int], result: "long" },

  // Processes
  waitpid: { args: [int, "bytes", int], result: int },
  kill: { args: [int, int], result: int },
  getpgid: { args: [int], result: int },
  setpgid: { args: [int, int], result: int },
  setsid: { args: [], result: int },
  prctl: { args: [int, "ulong", "ulong", "ulong", "ulong"], result: int },
  prctlName: { symbol: "prctl", args: [int, "string", "ulong", "ulong", "ulong"], result: int },
  prlimit: { args: [int, int, "bytes", "bytes"], result: int },
  unshare: { args: [int], result: int },
  setns: { args: [int, int], result: int },
  pidfd_open: byNumber(int, "uint"),
  pidfd_send_signal: byNumber(int, int, "bytes", "uint"),
  capget: { args: ["bytes", "bytes"], result: int },
  capset: { args: ["bytes", "bytes"], result: int },
  setgroups: { args: ["ulong", "bytes"], result: int },
  setresgid: { args: ["uint", "uint", "uint"], result: int },
  setresuid: { args: ["uint", "uint", "uint"], result: int },

  // Threads. These give an error number as their result, and leave errno alone.
  dlsym: { args: ["bytes", "string"], result: "ulong" },
  pthread_create: { args: ["bytes", "bytes", "ulong", "pointer"], result: int },
  pthread_attr_init: { args: ["bytes"], result: int },
  pthread_attr_setstacksize: { args: ["bytes", "ulong"], result: int },
  pthread_sigmask: { args: [int, "bytes", "bytes"], result: int },
  pthread_getcpuclockid: { args: ["ulong", "bytes"], result: int },
  pthread_join: { args: ["ulong", "bytes"], result: int },
  sem_init: { args: ["bytes", int, "uint"], result: int },
  sem_post: { args: ["bytes"], result: int },
} as const satisfies Record<string, Call>;

/** The name of a call in the table. */
export type CallName = keyof typeof calls;
