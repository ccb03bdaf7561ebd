/**
 * What runs on a host for a detached command. Plain POSIX sh beside mkdir, mkfifo, ln, readlink, mv, rm, cat, head, tail, dd,
 * wc and sleep, with Linux's /proc; setsid and stdbuf (without which output comes by 4 KiB) where they are there. Values come as arguments, secrets and variables through standard input.
 *
 * The folder `/var/tmp/fettle-USER/TOKEN` (mode 0700, of the user who logs in, whomever the command becomes; it outlives the
 * session, which /run/user does not, and a restart, which is then recognised by the boot id) holds:
 * - `claim`, a symbolic link whose text is data: made in one step, together with what it says, and only if it is not there. Who
 *   makes it runs the command, nobody else ever does. `run:FENCE:PID:START:SESSION:UPTIME:BOOT`; `attached:FENCE` where the host
 *   cannot detach; `void:FENCE`: cancelled before it began, and never to begin.
 * - `fence`, the numbers of those who have asked, a line each: who finds a greater one is stale and is refused.
 * - `stdout`, `stderr` (the first MiB), `*.tail` (the last half MiB of what follows), `*.count` (its length, as dd says it), `begun` (process id and start time of the command),
 *   `own` (processes that keep the output and the time), `timeout`, `exit` (`ended CODE HOW LEFT`, put in place by a rename).
 *
 * Variables begin with `f_`: any other might be one that the session exports, and would change it for the command.
 */
export const LIBRARY = String.raw`
umask 077 2>/dev/null
f_base=/var/tmp/fettle-$f_who
f_dir=$f_base/$f_token
f_head=1048576 f_tail=524288
say() { printf '\n%s-state %s\n' "$f_nonce" "$*" >&2; exit 0; }
read_stat() {
  { IFS= read -r f_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- \${f_line##*) }
  f_state=$1 f_parent=$2 f_group=$3 f_session=$4 f_start=\${20}
}
is_ours() { [ -d "$f_base" ] && [ ! -L "$f_base" ] && [ -O "$f_base" ]; }
open_folder() {
  f_said=
  [ -d "$f_base" ] || f_said=$(mkdir "$f_base" 2>&1) || [ -d "$f_base" ] || say "unwritable $f_said"
  is_ours || say "unwritable $f_base belongs to somebody else"
  [ -d "$f_dir" ] || f_said=$(mkdir "$f_dir" 2>&1) || [ -d "$f_dir" ] || say "unwritable $f_said"
}
pass_fence() {
  { printf '%s\n' "$f_fence" >>"$f_dir/fence"; } 2>/dev/null || say "unwritable no file can be written in $f_dir"
  while read -r f_other; do
    [ "$f_other" -le "$f_fence" ] || say stale
  done <"$f_dir/fence"
}
is_alive() {
  read_stat "$1" && [ "$f_start" = "$2" ] || return 1
  case $f_state in Z | X) return 1 ;; esac
}
has_ended() {
  { read -r f_answer <"$f_dir/exit"; } 2>/dev/null || return 1
  f_dropped=0
  for f_name in stdout stderr; do
    if { read -r f_more && read -r f_more && read -r f_more f_rest; } <"$f_dir/$f_name.count" 2>/dev/null; then
      [ "$f_more" -le "$f_tail" ] || f_dropped=$((f_dropped + f_more - f_tail))
    fi
  done
  f_answer="$f_answer $f_dropped"
}
examine() {
  f_command=
  if has_ended; then return 0; fi
  [ -n "$f_claim" ] || f_claim=$(readlink "$f_dir/claim" 2>/dev/null) || f_claim=
  case $f_claim in
    run:*) ;;
    attached:*) f_answer=attached; return 0 ;;
    void:*) f_answer=void; return 0 ;;
    *) f_answer=none; return 0 ;;
  esac
  f_ifs=$IFS
  IFS=:
  set -- $f_claim
  IFS=$f_ifs
  read -r f_boot </proc/sys/kernel/random/boot_id
  if [ "$f_boot" != "$7" ]; then f_answer='lost restarted'; return 0; fi
  read -r f_uptime f_rest </proc/uptime
  f_age=$((\${f_uptime%.*} - $6))
  { read -r f_command f_command_start <"$f_dir/begun"; } 2>/dev/null || f_command=
  f_leader=$3 f_leader_session=$5
  if is_alive "$3" "$4"; then f_answer="running $f_age"; return 0; fi
  if [ -n "$f_command" ] && is_alive "$f_command" "$f_command_start"; then f_answer="running $f_age"; return 0; fi
  if has_ended; then return 0; fi
  f_answer='lost gone'
}
emit() {
  if [ -s "$f_dir/stdout" ]; then cat <&3 2>/dev/null || return 1; fi
  if [ -s "$f_dir/stderr" ]; then cat <&4 >&2 || return 1; fi
}
# The last bytes of what did not fit, once the command has ended; $1 and $2 bytes of it were taken before.
emit_tails() {
  case $f_answer in ended*) ;; *) return 0 ;; esac
  if [ -s "$f_dir/stdout.tail" ]; then tail -c "+$(($1 + 1))" "$f_dir/stdout.tail"; fi
  if [ -s "$f_dir/stderr.tail" ]; then tail -c "+$(($2 + 1))" "$f_dir/stderr.tail" >&2; fi
}
beyond() { if [ "$1" -gt "$f_head" ]; then echo "$(($1 - f_head))"; else echo 0; fi; }
explain() {
  case $f_answer in *refused* | *directory*) [ ! -s "$f_dir/noise" ] || head -c 2000 "$f_dir/noise" >&2 ;; esac
}
`;

/** Takes the escapes off the `${` that belong to the shell. */
export function script(text: string): string {
  return text.replaceAll('\\$', '$').trim();
}
