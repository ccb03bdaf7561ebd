import { LIBRARY, script } from './library.js';

/**
 * Starts the command and follows it for some ticks; should it last longer, or the connection break, it lives on. A shell waits
 * for all of a pipeline, so the follower that leaves before the end must end its shell.
 */
const START = String.raw`
f_lead=$1 f_kill=$2 f_become_script=$3 f_who=$4 f_token=$5 f_nonce=$6 f_fence=$7 f_elapsed=$8
shift 8
f_ticks=$1 f_claim=
shift
${LIBRARY}
open_folder
pass_fence
[ ! -L "$f_dir/claim" ] || say exists
if [ "$f_elapsed" -gt 0 ]; then
  f_uptime=0
  { read -r f_uptime f_rest </proc/uptime; } 2>/dev/null
  [ "$f_elapsed" -lt 86400 ] && [ "\${f_uptime%.*}" -gt "$((f_elapsed + 60))" ] || say vanished
fi
if [ ! -r /proc/sys/kernel/random/boot_id ] || [ ! -r "/proc/$$/stat" ] || ! command -v mkfifo >/dev/null 2>&1; then
  ln -s "attached:$f_fence" "$f_dir/claim" 2>/dev/null || say exists
  say attached
fi
{ : >>"$f_dir/stdout" && : >>"$f_dir/stderr"; } 2>/dev/null || say "unwritable no file can be written in $f_dir"
exec 3<"$f_dir/stdout" 4<"$f_dir/stderr"
f_setsid=setsid
command -v setsid >/dev/null 2>&1 || { f_setsid=; trap '' HUP; }
tick() {
  for f_pause in 0.2 0.2 0.2 0.2 0.2; do
    sleep "$f_pause" >/dev/null 2>&1 || sleep 1 >/dev/null
    echo t
  done
  while sleep 1 >/dev/null; do echo t; done
}
follow() {
  f_count=0 f_word=
  while read -r f_word; do
    [ "$f_word" = t ] || break
    f_count=$((f_count + 1))
    if ! emit || [ "$f_count" -ge "$f_ticks" ]; then
      examine
      printf '\n%s-state %s\n' "$f_nonce" "$f_answer" >&2
      kill -KILL $$
      exit 0
    fi
  done
  case $f_word in !*) say "\${f_word#!}" ;; esac
  emit
  examine
  emit_tails 0 0
  printf '\n%s-state %s\n' "$f_nonce" "$f_answer" >&2
  explain
}
{
  tick 3<&- 4<&- </dev/null 2>/dev/null &
  exec $f_setsid /bin/sh -c "$f_lead" fettle "$!" "$f_kill" "$f_become_script" "$f_who" "$f_token" "$f_nonce" "$f_fence" "$@" 3<&- 4<&- 2>/dev/null
} | follow
`;

/** Says how the command stands, with its output from two offsets on, and follows it for some ticks of a second. */
const LOOK = String.raw`
f_who=$1 f_token=$2 f_nonce=$3 f_fence=$4 f_out=$5 f_err=$6 f_ticks=$7 f_claim=
${LIBRARY}
is_ours && [ -d "$f_dir" ] || say none
pass_fence
examine
case $f_answer in none | void | attached) say "$f_answer" ;; esac
[ -r "$f_dir/stdout" ] && [ -r "$f_dir/stderr" ] || say "$f_answer"
exec 3<"$f_dir/stdout" 4<"$f_dir/stderr"
[ "$f_out" -eq 0 ] || tail -c "+$((f_out + 1))" <&3 || exit 0
[ "$f_err" -eq 0 ] || tail -c "+$((f_err + 1))" <&4 >&2 || exit 0
f_count=0
while :; do
  emit || exit 0
  case $f_answer in running*) ;; *) break ;; esac
  [ "$f_count" -lt "$f_ticks" ] || break
  f_count=$((f_count + 1))
  sleep 1
  examine
done
emit_tails "$(beyond "$f_out")" "$(beyond "$f_err")"
printf '\n%s-state %s\n' "$f_nonce" "$f_answer" >&2
explain
`;

/** Before a command is ended: sees to it that one that has not begun never will, and says which processes there are. */
const ARREST = String.raw`
f_who=$1 f_token=$2 f_nonce=$3 f_fence=$4 f_claim=
${LIBRARY}
open_folder
pass_fence
if ln -s "void:$f_fence" "$f_dir/claim" 2>/dev/null; then say void; fi
examine
case $f_answer in running*) ;; *) say "$f_answer" ;; esac
f_own=
{ read -r f_own <"$f_dir/own"; } 2>/dev/null
say "stop $f_leader $f_leader_session \${f_command:-0} $f_own"
`;

/**
 * After the end was journaled: all goes but the claim, which keeps a late start from running the command again. With `sweep`,
 * folders that nobody touched for two days go whole: a connection does not hold a request back for as long.
 */
const RELEASE = String.raw`
f_who=$1 f_token=$2 f_nonce=$3 f_fence=$4 f_sweep=$5 f_claim=
${LIBRARY}
is_ours && cd "$f_dir" 2>/dev/null || say none
pass_fence
rm -f -- stdout stderr ./stdout.* ./stderr.* ./stdin.* ./out.* ./err.* begun own timeout directory noise exit
[ -z "$f_sweep" ] || find "$f_base" -mindepth 1 -maxdepth 1 -type d -mtime +1 -exec rm -rf -- {} + 2>/dev/null
say released
`;

export const START_SCRIPT = script(START);
export const LOOK_SCRIPT = script(LOOK);
export const ARREST_SCRIPT = script(ARREST);
export const RELEASE_SCRIPT = script(RELEASE);
