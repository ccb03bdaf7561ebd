import type { BufferEncoding, CpOptions, FileContent, FsStat, IFileSystem, MkdirOptions, RmOptions } from 'just-bash';
import type { Machine } from './machine.js';
import { TERMINAL_STDERR, TERMINAL_STDOUT } from './terminal.js';

export interface ShellUser {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

/** Takes bytes for the channel; resolves once the channel wants more. */
export type TerminalWrite = (stream: 'stdout' | 'stderr', bytes: Buffer) => Promise<void>;

type WriteOptions = BufferEncoding | { encoding?: BufferEncoding };

function denied(code: string, text: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${text}, open '${path}'`), { code });
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** Whether each character stands for one byte of valid UTF-8 with at least one multi-byte sequence. */
function isUtf8AsLatin1(text: string): boolean {
  if (!/[\u0080-\u00ff]/.test(text) || /[^\u0000-\u00ff]/.test(text)) return false;
  try {
    strictUtf8.decode(Buffer.from(text, 'latin1'));
    return true;
  } catch {
    return false;
  }
}

/**
 * Bytes of a command's output. just-bash marks byte output as `binary`, but loses the mark where a compound command gathers
 * several; there, text that reads as UTF-8 bytes is taken as such.
 */
export function outputBytes(content: FileContent, encoding: string | undefined): Buffer {
  if (typeof content !== 'string') return Buffer.from(content);
  const isBytes = encoding === 'binary' || encoding === 'latin1' || isUtf8AsLatin1(content);
  // A character above 0xff cannot be a byte, whatever the mark says.
  return isBytes && !/[^\u0000-\u00ff]/.test(content) ? Buffer.from(content, 'latin1') : Buffer.from(content, 'utf8');
}

/**
 * A host's file system as one user of one session sees it: permission by place, the user's umask, and the two paths that
 * lead to the SSH channel. It holds no file itself and knows no other file system than the host's memory.
 */
export class HostView implements IFileSystem {
  umask = 0o022;
  private readonly captures = new Map<string, Buffer[]>();
  private nextCapture = 0;

  constructor(
    private readonly machine: Machine,
    private readonly user: ShellUser,
    private readonly terminal: TerminalWrite,
  ) {}

  /** A path that gathers the bytes written to it instead of storing them. */
  openCapture(): { path: string; chunks: Buffer[]; close: () => void } {
    const path = `/dev/fettle/capture-${(this.nextCapture += 1)}`;
    const chunks: Buffer[] = [];
    this.captures.set(path, chunks);
    return { path, chunks, close: () => void this.captures.delete(path) };
  }

  private get base(): IFileSystem {
    return this.machine.fs;
  }

  private mayWrite(path: string): boolean {
    if (this.user.uid === 0) return !path.startsWith('/proc/');
    const owner = this.machine.state.owners[path];
    if (owner !== undefined) return owner.startsWith(`${this.user.name}:`);
    return [this.user.home, '/tmp', '/var/tmp', '/dev'].some((place) => path === place || path.startsWith(`${place}/`));
  }

  private mayRead(path: string): boolean {
    return this.user.uid === 0 || !(path === '/etc/shadow' || path === '/root' || path.startsWith('/root/'));
  }

  /** The path with links in its folder resolved, so that a link in /tmp opens no door. */
  private async real(path: string): Promise<string> {
    try {
      return await this.base.realpath(path);
    } catch {
      const cut = path.lastIndexOf('/');
      const folder = cut <= 0 ? '/' : path.slice(0, cut);
      if (folder === path) return path;
      const resolved = await this.real(folder);
      return `${resolved === '/' ? '' : resolved}${path.slice(cut)}`;
    }
  }

  private async assertWritable(path: string): Promise<void> {
    if (!this.mayWrite(await this.real(path))) throw denied('EACCES', 'permission denied', path);
    this.machine.onChange();
  }

  private async assertReadable(path: string): Promise<void> {
    if (!this.mayRead(await this.real(path))) throw denied('EACCES', 'permission denied', path);
  }

  private async assertFolder(path: string): Promise<void> {
    const cut = path.lastIndexOf('/');
    if (cut > 0 && !(await this.base.exists(path.slice(0, cut))))
      throw denied('ENOENT', 'no such file or directory', path);
  }

  async readFile(path: string, options?: Parameters<IFileSystem['readFile']>[1]): Promise<string> {
    await this.assertReadable(path);
    return this.base.readFile(path, options);
  }

  async readFileBytes(path: string): ReturnType<NonNullable<IFileSystem['readFileBytes']>> {
    await this.assertReadable(path);
    return this.machine.fs.readFileBytes(path);
  }

  async readFileBuffer(path: string): Promise<Uint8Array> {
    await this.assertReadable(path);
    return this.base.readFileBuffer(path);
  }

  private async put(
    how: 'writeFile' | 'appendFile',
    path: string,
    content: FileContent,
    options?: WriteOptions,
  ): Promise<void> {
    if (path === TERMINAL_STDOUT || path === TERMINAL_STDERR) {
      const encoding = typeof options === 'string' ? options : options?.encoding;
      const bytes = outputBytes(content, encoding);
      return bytes.length === 0 ? undefined : this.terminal(path === TERMINAL_STDOUT ? 'stdout' : 'stderr', bytes);
    }
    if (path === '/dev/null') return;
    const capture = this.captures.get(path);
    if (capture) {
      capture.push(outputBytes(content, typeof options === 'string' ? options : options?.encoding));
      return;
    }
    const isNew = !(await this.base.exists(path));
    if (isNew) await this.assertFolder(path);
    await this.assertWritable(path);
    // The file system gives every write its default mode.
    const mode = isNew ? 0o666 & ~this.umask : (await this.base.stat(path)).mode;
    await this.base[how](path, content, options);
    await this.base.chmod(path, mode);
    if (isNew) this.own(path);
  }

  writeFile(path: string, content: FileContent, options?: WriteOptions): Promise<void> {
    return this.put('writeFile', path, content, options);
  }

  appendFile(path: string, content: FileContent, options?: WriteOptions): Promise<void> {
    return this.put('appendFile', path, content, options);
  }

  /** Remembers the owner of a new path where its place does not tell. */
  private own(path: string): void {
    const { owners } = this.machine.state;
    const owner = `${this.user.name}:${this.user.name}`;
    if (this.machine.defaultOwner(path) === owner) delete owners[path];
    else if (Object.keys(owners).length < 10_000) owners[path] = owner;
  }

  exists(path: string): Promise<boolean> {
    return this.base.exists(path);
  }

  stat(path: string): Promise<FsStat> {
    return this.base.stat(path);
  }

  lstat(path: string): Promise<FsStat> {
    return this.base.lstat(path);
  }

  async mkdir(path: string, options?: MkdirOptions): Promise<void> {
    if (options?.recursive === true && (await this.base.exists(path))) return this.base.mkdir(path, options);
    await this.assertWritable(path);
    await this.base.mkdir(path, options);
    await this.base.chmod(path, 0o777 & ~this.umask);
    this.own(path);
  }

  async readdir(path: string): Promise<string[]> {
    await this.assertReadable(path);
    return this.base.readdir(path);
  }

  async readdirWithFileTypes(path: string): ReturnType<NonNullable<IFileSystem['readdirWithFileTypes']>> {
    await this.assertReadable(path);
    return this.machine.fs.readdirWithFileTypes(path);
  }

  async rm(path: string, options?: RmOptions): Promise<void> {
    if (options?.force === true && !(await this.base.exists(path))) return;
    await this.assertWritable(path);
    await this.base.rm(path, options);
    delete this.machine.state.owners[path];
  }

  async cp(source: string, destination: string, options?: CpOptions): Promise<void> {
    await this.assertReadable(source);
    await this.assertWritable(destination);
    await this.base.cp(source, destination, options);
    this.own(destination);
  }

  async mv(source: string, destination: string): Promise<void> {
    await this.assertWritable(source);
    await this.assertWritable(destination);
    const owner = this.machine.ownerOf(source);
    await this.base.mv(source, destination);
    delete this.machine.state.owners[source];
    if (owner !== this.machine.defaultOwner(destination)) this.machine.state.owners[destination] = owner;
    else delete this.machine.state.owners[destination];
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.assertWritable(path);
    await this.base.chmod(path, mode);
  }

  async symlink(target: string, linkPath: string): Promise<void> {
    await this.assertWritable(linkPath);
    await this.base.symlink(target, linkPath);
  }

  async link(existingPath: string, newPath: string): Promise<void> {
    await this.assertReadable(existingPath);
    await this.assertWritable(newPath);
    await this.base.link(existingPath, newPath);
  }

  async utimes(path: string, atime: Date, mtime: Date): Promise<void> {
    await this.assertWritable(path);
    await this.base.utimes(path, atime, mtime);
  }

  readlink(path: string): Promise<string> {
    return this.base.readlink(path);
  }

  realpath(path: string): Promise<string> {
    return this.base.realpath(path);
  }

  resolvePath(base: string, path: string): string {
    return this.base.resolvePath(base, path);
  }

  getAllPaths(): string[] {
    return this.base.getAllPaths();
  }
}
