/**
 * Plain POSIX sh on the host. Arguments: how many seconds a lock is waited for, then the command that installs. It repairs what was
 * cut off before, installs, and asks needrestart once. Nothing reads the script's own input. Its exit code is that of the installation.
 *
 * dpkg has no option to wait for its lock, so that is tried again; what else it fails with is left to the installation, which says it
 * better (and may mend it: a package that could not be configured is often mended by its next version). Packages that were installed
 * for others only stay marked so, which naming them to apt would end. apt waits for dpkg's lock itself, and not for that of the packages it has fetched: that is done here.
 *
 * Where only what is foreseen may be installed, apt itself asks once it has the lock and knows what it will do (DPkg::Pre-Install-Pkgs,
 * apt.conf(5)): a simulation before that could be of other lists.
 */
export const APT_INSTALL_SCRIPT = String.raw`
wait=$1
shift
repair() {
  left=$wait
  while :; do
    said=$(dpkg --force-confdef --force-confold --configure -a </dev/null 2>&1)
    code=$?
    case $said in
      *'locked by another process'* | *'nable to lock'*)
        if [ "$left" -le 0 ]; then break; fi
        if [ "$left" = "$wait" ]; then echo 'another program holds the lock of dpkg; it is waited for'; fi
        sleep 2
        left=$((left - 2))
        ;;
      *) break ;;
    esac
  done
  printf '%s\n' "$said"
  echo "fettle: repaired $code"
}
if [ -n "$(ls /var/lib/dpkg/updates 2>/dev/null)" ] || [ -n "$(dpkg --audit 2>/dev/null)" ]; then repair; fi
left=$wait
while [ "$left" -gt 0 ] && lslocks -r -n -o PATH 2>/dev/null | grep -qxF /var/cache/apt/archives/lock; do
  if [ "$left" = "$wait" ]; then echo 'another program holds the lock of fetched packages; it is waited for'; fi
  sleep 2
  left=$((left - 2))
done
if [ -n "$foreseen" ]; then
  list=/run/fettle-foreseen.$$
  printf '%s\n' "$foreseen" >"$list" || exit 73
  check='
    FNR == NR { may[$0]; next }
    !told { told = $0 == ""; next }
    $5 != "**CONFIGURE**" && !($1 in may) && !(($1 "=" $4) in may) { print "fettle: unforeseen " $1 " " $4; bad = 1 }
    END { exit bad || !told }'
  set -- "$@" -o DPkg::Tools::Options::exec::Version=2 -o "DPkg::Pre-Install-Pkgs::=exec awk '$check' '$list' -"
fi
automatic=$(apt-mark showauto 2>/dev/null)
command "$@" </dev/null
code=$?
echo "fettle: ended $code"
if [ -n "$foreseen" ]; then rm -f "$list"; fi
if [ -n "$automatic" ]; then
  now=$(apt-mark showauto 2>/dev/null)
  printf '%s\n' "$automatic" | grep -vxF -e "$now" | xargs -r apt-mark auto >/dev/null 2>&1
fi
if command -v needrestart >/dev/null 2>&1; then
  env -u NEEDRESTART_SUSPEND needrestart -b </dev/null 2>/dev/null | sed 's/^/fettle: /'
fi
exit "$code"
`;
