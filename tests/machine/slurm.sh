#!/usr/bin/env bash
# A SLURM cluster of this one machine, for tests: partitions cpu and gpu (one GPU in name only), killed jobs, memory and time limits are real.
#   tests/machine/slurm.sh up DIR      start (root, Debian's slurm-wlm and munge); prints the path of slurm.conf, for SLURM_CONF
#   tests/machine/slurm.sh down DIR    stop what up started
set -euo pipefail
(( $# == 2 )) && [[ $1 == up || $1 == down ]] || { sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 1; }
mkdir -p "$2"
dir=$(cd "$2" && pwd)
node=$(hostname -s)
export SLURM_CONF=$dir/slurm.conf
fail() { echo "slurm: $*" >&2; tail -n 3 "$dir"/*.log >&2 2>/dev/null || true; exit 1; }

stop() { # name of a process, from the file with its number: never another process that has the number by now
    local number
    number=$(cat "$dir/$1.pid" 2>/dev/null) || return 0
    [[ $(cat "/proc/$number/comm" 2>/dev/null) == "$1" ]] || return 0
    kill "$number"
    for _ in {1..100}; do [[ -e /proc/$number ]] || return 0; sleep 0.1; done
    kill -9 "$number"
}

down() {
    local jobs
    jobs=$(timeout 5 squeue -h -o %i 2>/dev/null) || true
    # shellcheck disable=SC2086  # a list of job numbers
    [[ $jobs ]] && timeout 20 scancel --full $jobs && sleep 1
    stop slurmd
    stop slurmctld
    stop munged
}

munge_up() { # a munged of our own: its socket and key are those of no other cluster
    [[ -s $dir/munge.key ]] || (umask 077; head -c 1024 /dev/urandom >"$dir/munge.key")
    munged --force --key-file "$dir/munge.key" --socket "$dir/munge.socket" --pid-file "$dir/munged.pid" --log-file "$dir/munged.log" \
        --seed-file "$dir/munge.seed" || fail "munged did not start"
    munge -S "$dir/munge.socket" -n | unmunge -S "$dir/munge.socket" >/dev/null || fail "munged does not answer"
}

configure() { # the node has what slurmd finds, or the controller would drain it
    local hardware
    hardware=$(slurmd -C | sed -n "s/^NodeName=[^ ]* \(CPUs=.*\)/\1/p")
    [[ $hardware ]] || fail "slurmd -C does not describe this machine"
    cat >"$SLURM_CONF" <<CONF
ClusterName=chiflow
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
MinJobAge=60
ReturnToService=2
KillWait=2
GresTypes=gpu
NodeName=$node NodeAddr=127.0.0.1 $hardware Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$node Default=YES DefMemPerCPU=512 State=UP
PartitionName=gpu Nodes=$node DefMemPerCPU=512 State=UP
CONF
    echo "NodeName=$node Name=gpu File=/dev/null" >"$dir/gres.conf"
    echo "CgroupPlugin=cgroup/v1" >"$dir/cgroup.conf"
}

up() {
    [[ $EUID == 0 ]] || fail "only root can start it"
    local program
    for program in slurmctld slurmd sbatch munged; do command -v "$program" >/dev/null || fail "$program is not installed (apt install slurm-wlm munge)"; done
    getent hosts "$node" >/dev/null || fail "the host name $node does not resolve"
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"
    munge_up
    configure
    slurmctld -c -i >&2 || fail "slurmctld did not start"
    slurmd -c >&2 || fail "slurmd did not start"
    for _ in {1..60}; do [[ $(sinfo -h -t idle -o %n 2>/dev/null) ]] && break; sleep 0.5; done
    timeout 30 srun --quiet -n1 -t1 true || fail "a job of one command did not run"
    echo "$SLURM_CONF"
}

case $1 in
    up) down >&2; up ;;
    down) down ;;
esac
