/**
 * A program for Linux on amd64, as bytes: makes system calls, each with zeros as its arguments, and prints for each a byte, the number of its
 * error, or 0 if it was done. There is no C compiler where tests run.
 *
 * Sources: ELF-64 Object File Format (headers); System V ABI, AMD64 supplement, A.2.1 (how calls are made); Intel's manual (instructions).
 */
export function syscallProbe(calls: readonly number[]): Uint8Array {
  const base = 0x400000n;
  const headers = 64 + 56;
  const u32 = (value: number): number[] => [...new Uint8Array(new Uint32Array([value]).buffer)];
  const u64 = (value: bigint): number[] => [...new Uint8Array(new BigUint64Array([value]).buffer)];
  /** xor edi, edi; esi; edx; r10d; r8d; r9d */
  const zeros = [0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9];
  const syscall = [0x0f, 0x05];
  const instructions = (results: bigint): number[] => [
    ...[0x48, 0xbb, ...u64(results)], // mov rbx, results
    ...calls.flatMap((number, at) => [
      ...[0xb8, ...u32(number)], // mov eax, number
      ...zeros,
      ...syscall,
      ...[0xf7, 0xd8], // neg eax
      ...[0x88, 0x43, at], // mov [rbx + at], al
    ]),
    // write(1, results, count); exit(0)
    ...[0xb8, ...u32(1), 0xbf, ...u32(1), 0x48, 0x89, 0xde, 0xba, ...u32(calls.length), ...syscall],
    ...[0xb8, ...u32(60), 0x31, 0xff, ...syscall],
  ];
  const end = BigInt(headers + instructions(0n).length);
  const code = instructions(base + end);
  const size = end + BigInt(calls.length);
  return Uint8Array.from([
    // e_ident, e_type EXEC, e_machine X86_64, e_version, e_entry, e_phoff, e_shoff
    ...[0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, ...u32(1)],
    ...[...u64(base + BigInt(headers)), ...u64(64n), ...u64(0n)],
    // e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    ...[...u32(0), 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    // PT_LOAD, read, write and execute, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
    ...[...u32(1), ...u32(7), ...u64(0n), ...u64(base), ...u64(base), ...u64(end), ...u64(size), ...u64(4096n)],
    ...code,
  ]);
}
