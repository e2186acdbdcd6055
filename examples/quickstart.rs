//! Two processes and one array: a writer samples every process of this machine, a reader shows them.
//!
//! ```text
//! cargo run --release --example quickstart
//! ```
//!
//! The writer fills a `ShmArray<ProcessSample>` from /proc and starts the reader, which is this program again and gets
//! nothing but the array's *name*. The writer then updates the samples in place, field by field, and the reader, which
//! has the same memory mapped, shows what changed. When both are done, nothing is left in /dev/shm.

use shmtypes::{Detached, ShmArray, ShmLayout, ShmRef, ShmStr};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::process::parent_id;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};
use std::{env, fs, hint, thread};

use nix::unistd::{SysconfVar, sysconf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One process. `ShmLayout` says that the struct may lie in shared memory; it refuses padding, pointers and whatever
/// else means something in one process only.
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct ProcessSample {
    pid: u32,
    threads: u32,
    /// Processor time in seconds.
    user: f64,
    system: f64,
    /// In seconds since the machine started.
    started: f64,
    resident_bytes: u64,
    name: ShmStr<27>,
    state: State,
}

/// What a process does, by the letter that the kernel uses. A byte that is none of these is an error for whoever reads
/// it, never a `State`.
#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum State {
    Running = b'R',
    Sleeping = b'S',
    Waiting = b'D',
    Stopped = b'T',
    Traced = b't',
    Zombie = b'Z',
    Dead = b'X',
    Idle = b'I',
    Other = b'?',
    /// It was there when the array was made, and has ended.
    Gone = b'-',
}

/// Whose turn it is. Lives in a small array of its own.
#[derive(ShmLayout)]
#[repr(C)]
struct Turns {
    /// How many rounds of samples the writer has written.
    written: AtomicU64,
    /// How many of them the reader has shown.
    shown: AtomicU64,
}

const ROUNDS: u64 = 4;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(300);
/// How long one side waits for the other before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let (role, outcome) = match words.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..] {
        [] => ("writer", writer()),
        ["--reader", name] => ("reader", reader(name)),
        _ => ("quickstart", Err("takes no arguments".into())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{role}: {error}");
            ExitCode::FAILURE
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- writer

fn writer() -> Result<()> {
    let units = Units::of_this_machine()?;
    let found = sample_all(&units)?;
    let samples = ShmArray::create_from_fn(found.len(), |i| found[i])?;
    let turns = ShmArray::<Turns>::options().name(turns_of(samples.name())).create(1)?;
    let turns = turns.at(0);
    say(&format!("writer: {} processes, sampled into {:?}\n", samples.len(), samples.name()))?;

    turns.written().store(1, Release); // pairs with the Acquire in `wait`
    let mut reader = Reader(Command::new(env::current_exe()?).args(["--reader", samples.name()]).spawn()?);
    wait(turns.shown(), 1, || reader.check())?;

    // The writer is among the samples. It grows and works a little, so that an idle machine has something to show too.
    let mut ballast = Vec::new();
    for round in 2..=ROUNDS {
        ballast.push(vec![round as u8; 8 << 20]);
        let busy = Instant::now();
        while busy.elapsed() < BETWEEN_ROUNDS / 10 {
            hint::spin_loop();
        }
        thread::sleep(BETWEEN_ROUNDS * 9 / 10);

        update(&samples, &units)?;
        turns.written().store(round, Release);
        wait(turns.shown(), round, || reader.check())?;
    }
    hint::black_box(ballast);

    reader.finish()?;
    match samples.close()? {
        Detached::Removed => say("writer: the last one out, and the name is gone\n"),
        other => Err(format!("the array should be removed by now, but: {other:?}").into()),
    }
}

/// Samples the same processes again, and stores the fields that can change.
fn update(samples: &ShmArray<ProcessSample>, units: &Units) -> Result<()> {
    for i in 0..samples.len() {
        let shared = samples.at(i);
        let started = shared.started().get();
        match sample(shared.pid().get(), units)? {
            // A process of another start time is another process that was given the same id.
            Some(new) if new.started == started => {
                shared.threads().set(new.threads);
                shared.user().set(new.user);
                shared.system().set(new.system);
                shared.resident_bytes().set(new.resident_bytes);
                shared.name().set(new.name);
                shared.state().set(new.state);
            }
            _ => {
                shared.resident_bytes().set(0);
                shared.state().set(State::Gone);
            }
        }
    }
    Ok(())
}

/// The process that reads. It does not outlive the writer's interest in it.
struct Reader(Child);

impl Reader {
    /// An error if it has ended, which it should not yet.
    fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("the reader ended early, with {status}").into()),
        }
    }

    /// Waits for its end.
    fn finish(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the reader ended with {status}").into()),
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(format!("the reader did not end within {PATIENCE:?}").into())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Both fail if it has ended already, and that is all that is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// ---------------------------------------------------------------------------------------------------------- reader

fn reader(name: &str) -> Result<()> {
    // The length comes with the array; so does the layout, which must be the one of this program's `ProcessSample`.
    let samples = ShmArray::<ProcessSample>::open_read_only(name)?;
    let turns = ShmArray::<Turns>::open(&turns_of(name))?;
    let turns = turns.try_at(0)?;

    let writer = parent_id();
    let check = || if parent_id() == writer { Ok(()) } else { Err("the writer has died".into()) };
    let mut before = Vec::new();
    for round in 1..=ROUNDS {
        wait(turns.written(), round, check)?;
        let now = samples.to_vec()?;
        // A fold reads the shared memory a block at a time; nothing is allocated.
        let resident =
            samples.fold_blocks(0, |sum, block| sum + block.iter().map(|s| s.resident_bytes).sum::<u64>())?;
        if round == 1 {
            say(&table(&now, resident)?)?;
        } else {
            say(&changes(round, &before, &now, resident)?)?;
        }
        before = now;
        turns.shown().store(round, Release); // pairs with the Acquire in `wait`
    }
    Ok(())
}

/// The ten largest processes by resident memory.
fn table(samples: &[ProcessSample], resident: u64) -> Result<String> {
    let uptime = uptime()?;
    let mut largest = samples.to_vec();
    largest.sort_by_key(|sample| std::cmp::Reverse(sample.resident_bytes));

    let mut text =
        String::from("\n    pid  name              state     threads   user s  system s    resident       age\n");
    for s in largest.iter().take(10) {
        writeln!(
            text,
            "{:>7}  {:<16.16}  {:<8}  {:>7}  {:>7.2}  {:>8.2}  {:>10}  {:>8}",
            s.pid,
            printable(&s.name),
            format!("{:?}", s.state),
            s.threads,
            s.user,
            s.system,
            bytes(s.resident_bytes as f64),
            age(uptime - s.started),
        )?;
    }
    writeln!(text, "reader: {} processes, {} resident\n", samples.len(), bytes(resident as f64))?;
    Ok(text)
}

/// What is different from the round before.
fn changes(round: u64, before: &[ProcessSample], now: &[ProcessSample], resident: u64) -> Result<String> {
    let grown = |old: &ProcessSample, new: &ProcessSample| new.resident_bytes as f64 - old.resident_bytes as f64;
    let worked = |old: &ProcessSample, new: &ProcessSample| new.user + new.system - old.user - old.system;
    let pairs = || before.iter().zip(now);

    let mut text = format!(
        "reader: round {round}: {} resident ({:+.1} MiB), {:.2} s of processor time, gone: {}\n",
        bytes(resident as f64),
        pairs().map(|(old, new)| grown(old, new)).sum::<f64>() / MIB,
        pairs().map(|(old, new)| worked(old, new)).sum::<f64>(),
        now.iter().filter(|sample| sample.state == State::Gone).count(),
    );
    let mut changed: Vec<_> = pairs().filter(|(old, new)| grown(old, new) != 0.0).collect();
    changed.sort_by(|a, b| grown(b.0, b.1).abs().total_cmp(&grown(a.0, a.1).abs()));
    for (old, new) in changed.iter().take(3) {
        writeln!(
            text,
            "{:>7}  {:<16.16}  {:<8}  {:>+8.1} MiB  {:>+6.2} s",
            new.pid,
            printable(&new.name),
            format!("{:?}", new.state),
            grown(old, new) / MIB,
            worked(old, new),
        )?;
    }
    Ok(text)
}

const MIB: f64 = (1 << 20) as f64;

/// A process may call itself anything, an escape sequence for the terminal included.
fn printable(name: &str) -> String {
    name.escape_debug().to_string()
}

fn bytes(count: f64) -> String {
    if count < 1024.0 * MIB { format!("{:.1} MiB", count / MIB) } else { format!("{:.2} GiB", count / MIB / 1024.0) }
}

fn age(seconds: f64) -> String {
    match seconds.max(0.0) as u64 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} days", s / 86_400),
    }
}

// ------------------------------------------------------------------------------------------------------------ both

/// The name of the array of [`Turns`] that goes with an array of samples.
fn turns_of(samples: &str) -> String {
    format!("{samples}.turns")
}

/// Waits until the other process has got as far as `round`; `check` says whether it still can.
fn wait(counter: ShmRef<'_, AtomicU64>, round: u64, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while counter.load(Acquire) < round {
        check()?;
        if Instant::now() > deadline {
            return Err(format!("the other process did not get to round {round} within {PATIENCE:?}").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Prints, with an error where `print!` would panic: the other end of a pipe may be gone.
fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}

// ----------------------------------------------------------------------------------------------------------- /proc

/// What the numbers in /proc count.
struct Units {
    page_bytes: u64,
    ticks_per_second: f64,
}

impl Units {
    fn of_this_machine() -> Result<Self> {
        let positive = |variable, name: &str| match sysconf(variable)? {
            Some(value) if value > 0 => Ok(value as u64),
            other => Err(Box::<dyn Error>::from(format!("sysconf says that {name} is {other:?}"))),
        };
        Ok(Self {
            page_bytes: positive(SysconfVar::PAGE_SIZE, "the page size")?,
            ticks_per_second: positive(SysconfVar::CLK_TCK, "the number of ticks in a second")? as f64,
        })
    }
}

/// Every process that can be seen.
fn sample_all(units: &Units) -> Result<Vec<ProcessSample>> {
    let mut samples = Vec::new();
    for entry in fs::read_dir("/proc").map_err(|error| format!("/proc: {error}"))? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue; // /proc holds more than processes.
        };
        samples.extend(sample(pid, units)?);
    }
    if samples.is_empty() { Err("/proc shows no process: is it mounted?".into()) } else { Ok(samples) }
}

/// One process, or `None` if it has ended or hides from this user.
fn sample(pid: u32, units: &Units) -> Result<Option<ProcessSample>> {
    let (Some(stat), Some(statm)) = (read(pid, "stat")?, read(pid, "statm")?) else {
        return Ok(None);
    };
    match parse(pid, &stat, &statm, units) {
        Some(sample) => Ok(Some(sample)),
        None => Err(format!("/proc/{pid}/stat or statm is not as proc(5) has it").into()),
    }
}

fn read(pid: u32, file: &str) -> Result<Option<Vec<u8>>> {
    use nix::errno::Errno;
    let path = format!("/proc/{pid}/{file}");
    match fs::read(&path) {
        Ok(content) => Ok(Some(content)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ESRCH | Errno::EACCES | Errno::EPERM) => Ok(None),
            _ => Err(format!("{path}: {error}").into()),
        },
    }
}

/// `stat` is `42 (a name) S 1 …`. The name may hold any byte, parentheses, spaces and line feeds included, so that it
/// ends at the *last* parenthesis.
fn parse(pid: u32, stat: &[u8], statm: &[u8], units: &Units) -> Option<ProcessSample> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(open + 1..close)?);
    let fields: Vec<&str> = str::from_utf8(&stat[close + 1..]).ok()?.split_ascii_whitespace().collect();
    // proc(5) counts from 1, and the state, which is first here, is its field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let seconds = |field: usize| Some(number(field)? as f64 / units.ticks_per_second);
    let resident_pages: u64 = str::from_utf8(statm).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()?;

    Some(ProcessSample {
        pid,
        threads: number(20)?.try_into().ok()?,
        user: seconds(14)?,
        system: seconds(15)?,
        started: seconds(22)?,
        resident_bytes: resident_pages.checked_mul(units.page_bytes)?,
        name: ShmStr::truncated(&name),
        state: match *fields.first()? {
            "R" => State::Running,
            "S" => State::Sleeping,
            "D" => State::Waiting,
            "T" => State::Stopped,
            "t" => State::Traced,
            "Z" => State::Zombie,
            "X" => State::Dead,
            "I" => State::Idle,
            _ => State::Other,
        },
    })
}

fn uptime() -> Result<f64> {
    let text = fs::read_to_string("/proc/uptime").map_err(|error| format!("/proc/uptime: {error}"))?;
    Ok(text.split_ascii_whitespace().next().unwrap_or_default().parse().map_err(|_| "/proc/uptime has no number")?)
}
