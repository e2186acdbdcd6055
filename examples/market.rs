//! One process appends ticks to a vector in shared memory, two others follow them; the appender is killed, and its successor
//! goes on.
//!
//! ```text
//! cargo run --release --example market
//! ```
//!
//! The ticks are a `ShmVec<Tick>`. The feed, which is this program again with the vector's *name* as its argument, holds the
//! right to append, and tells its followers once per batch. In the middle the parent kills it with SIGKILL: what it had pushed
//! stays, the tick that it was about to push was never there, and another feed takes the right over. Two followers, which may
//! only read, each get every tick once and in order: one computes the average price, weighted by volume, the other one bars of
//! highest and lowest prices.

use shmtypes::{Deadline, Followed, ShmLayout, ShmVec};
use std::collections::BTreeMap;
use std::error::Error;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// How many ticks a day has.
const TICKS: usize = 1_000_000;
/// How many are told of at once.
const BATCH: usize = 100;
const SYMBOLS: [&str; 3] = ["ACME", "GLOBEX", "INITECH"];
/// How long to wait for anything at all.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(ShmLayout, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Side {
    Buy = 1,
    Sell = 2,
    /// The market has closed: nothing comes after this tick.
    Closed = 3,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Tick {
    sequence: u64,
    price: f64,
    volume: u32,
    symbol: u16,
    side: Side,
    unused: u8,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => run(),
        ["--feed", name] => feed(name),
        ["--average", name] => average(name),
        ["--bars", name] => bars(name),
        _ => Err("usage: market".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("market: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let ticks = ShmVec::<Tick>::create(TICKS + 1)?;
    println!("Up to {} ticks in {:?}.", ticks.capacity(), ticks.name());
    let followers = [Process::start("--average", ticks.name())?, Process::start("--bars", ticks.name())?];
    let mut first = Process::start("--feed", ticks.name())?;

    // The parent follows, too, from the middle of the day on.
    ticks.follow_from(TICKS / 2).next(PATIENCE)?;
    first.kill()?;
    println!("The feed was killed at tick {}.", ticks.len());
    Process::start("--feed", ticks.name())?.end()?;
    for follower in followers {
        follower.end()?;
    }

    // Nobody appends any more: all of them at once.
    let all = ticks.snapshot()?;
    let in_order = all.iter().enumerate().all(|(index, tick)| tick.sequence == index as u64);
    println!("{} ticks, in order: {in_order}.", all.len());
    if in_order && all.len() == TICKS + 1 { Ok(()) } else { Err("ticks are lost".into()) }
}

/// Appends ticks until the market closes, from where a predecessor stopped.
fn feed(name: &str) -> Result {
    let ticks = ShmVec::<Tick>::open(name)?;
    let mut appender = ticks.appender_until(PATIENCE)?;
    if appender.took_over() {
        println!("The next feed takes over from a dead one, at tick {}.", appender.len());
    }
    if appender.len() > TICKS {
        return Ok(()); // The predecessor was killed after its last tick.
    }
    for sequence in appender.len()..TICKS {
        appender.push(tick(sequence as u64))?;
        if sequence % BATCH == 0 {
            appender.flush()?;
        }
    }
    appender.push(Tick { side: Side::Closed, ..tick(TICKS as u64) })?;
    Ok(()) // The end of the appender tells the followers.
}

/// Prices that wander, the same for each feed.
fn tick(sequence: u64) -> Tick {
    let noise = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let symbol = (noise % SYMBOLS.len() as u64) as u16;
    let price = 100.0 * f64::from(symbol + 1) + (sequence as f64 / 50_000.0).sin() + noise as f64 / 1e8;
    let side = if noise.is_multiple_of(2) { Side::Buy } else { Side::Sell };
    Tick { sequence, price, volume: 1 + (noise % 500) as u32, symbol, side, unused: 0 }
}

/// Follows one tick after the other.
fn average(name: &str) -> Result {
    let ticks = ShmVec::<Tick>::open_read_only(name)?;
    let mut follower = ticks.follow();
    let mut sums = [(0.0, 0_u64); SYMBOLS.len()];
    let deadline = Deadline::from(PATIENCE);
    for followed in follower.until(deadline) {
        match followed? {
            Followed::Item(tick) if tick.side == Side::Closed => {
                for (symbol, (value, volume)) in SYMBOLS.iter().zip(sums) {
                    println!("{symbol}: {volume} traded, at {:.3} on average.", value / volume as f64);
                }
                return Ok(());
            }
            Followed::Item(tick) => {
                let (value, volume) = &mut sums[usize::from(tick.symbol)];
                *value += tick.price * f64::from(tick.volume);
                *volume += u64::from(tick.volume);
            }
            // Nobody truncates this vector. If somebody did: what was added so far is void.
            _ => sums = Default::default(),
        }
    }
    Err("the market does not close".into())
}

/// Follows whatever has come since the last look.
fn bars(name: &str) -> Result {
    const BAR: u64 = TICKS as u64 / 4;
    let ticks = ShmVec::<Tick>::open_read_only(name)?;
    let mut follower = ticks.follow();
    let mut bars: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    let (mut batch, mut looks) = (Vec::new(), 0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        follower.wait(deadline)?;
        batch.clear();
        looks += 1;
        if follower.read_available(&mut batch)? == Followed::Reset {
            bars.clear();
        }
        for tick in &batch {
            if tick.side == Side::Closed {
                let bars: Vec<String> = bars.values().map(|(low, high)| format!("{low:.2} to {high:.2}")).collect();
                println!("{}, quarter by quarter: {}, in {looks} looks.", SYMBOLS[0], bars.join(", "));
                return Ok(());
            }
            if tick.symbol == 0 {
                let (low, high) = bars.entry(tick.sequence / BAR).or_insert((f64::INFINITY, f64::NEG_INFINITY));
                (*low, *high) = (low.min(tick.price), high.max(tick.price));
            }
        }
    }
}

/// Another process of this program. Dropping it ends it.
struct Process(Child);

impl Process {
    fn start(role: &str, name: &str) -> Result<Self> {
        Ok(Self(Command::new(std::env::current_exe()?).args([role, name]).spawn()?))
    }

    fn kill(&mut self) -> Result {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    fn end(mut self) -> Result {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a process failed: {status}").into()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
