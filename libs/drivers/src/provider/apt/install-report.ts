import { keep, MAX_KEPT, OutputLines } from '../output-lines.js';
import type { InstallReport } from '../provider.js';

const LOCKED = /Could not get lock|locked by another process|Unable to (?:acquire the dpkg|lock)/;
const UNREACHED = /Failed to fetch|Unable to fetch|Could not resolve/;

/** What the output of the installation tells beside the log: errors of dpkg by package, and what needrestart found. */
export class AptInstallReport implements InstallReport {
  /** What dpkg said of packages that it could not process. */
  readonly errors = new Map<string, string>();
  /** dpkg counts nothing as installed of which a script failed. */
  readonly warnings = new Map<string, string>();
  readonly keptFiles: string[] = [];
  readonly complaints: string[] = [];
  readonly services: string[] = [];
  readonly unforeseen: string[] = [];
  isRepaired = false;
  readonly #lines = new OutputLines((line, stream) => this.#line(line, stream));
  /** The package whose failure the stream has just begun to tell of; the streams come beside each other. */
  readonly #failing: { stdout?: string | undefined; stderr?: string | undefined } = {};
  #configurationFile: string | undefined;

  add(stream: 'stdout' | 'stderr', text: string): void {
    this.#lines.add(stream, text);
  }

  get trouble(): InstallReport['trouble'] {
    const said = this.complaints.join(' ');
    return LOCKED.test(said) ? 'locked' : UNREACHED.test(said) ? 'unreached' : null;
  }

  #line(line: string, stream: 'stdout' | 'stderr'): void {
    const failing = this.#failing[stream];
    // The reason stands on the line after.
    if (failing !== undefined && line.startsWith(' ')) this.errors.set(failing, line.trim());
    this.#failing[stream] = undefined;
    const processing = /^dpkg: error processing (?:package|archive) (\S+) \(/.exec(line)?.[1];
    if (processing !== undefined) this.#begin(processing, stream);
    else if (/(?:^|\s)E: /.test(line)) keep(this.complaints, line.replace(/^(?:.*\s)?E: /, ''));
    else if (line.startsWith('fettle: NEEDRESTART-SVC: ')) keep(this.services, line.slice(25).trim());
    else if (line.startsWith('fettle: unforeseen ')) keep(this.unforeseen, line.slice(19).trim());
    else if (line.startsWith('fettle: repaired ')) this.isRepaired = true;
    else this.#configuration(line);
  }

  /** `Configuration file '/etc/app.conf'`, and some lines later what became of it. */
  #configuration(line: string): void {
    const file = /^Configuration file '(\/.+)'$/.exec(line)?.[1];
    if (file !== undefined) this.#configurationFile = file;
    else if (line.startsWith(' ==> Keeping old config file') && this.#configurationFile !== undefined) {
      keep(this.keptFiles, `${this.#configurationFile}.dpkg-dist`);
      this.#configurationFile = undefined;
    }
  }

  #begin(subject: string, stream: 'stdout' | 'stderr'): void {
    // An archive is a path such as /var/cache/apt/archives/app_2.0_all.deb.
    const name = (subject.split('/').at(-1) ?? subject).replace(/[_:].*$/, '');
    if (this.errors.size >= MAX_KEPT && !this.errors.has(name)) return;
    this.errors.set(name, 'dpkg could not process it');
    this.#failing[stream] = name;
  }
}
