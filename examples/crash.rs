//! A process is killed while it holds a lock, with half of its work done; the next one is told, repairs it and goes on.
//!
//! ```text
//! cargo run --release --example crash
//! ```
//!
//! Accounts stand behind a `ShmMutex`: money moves between them, so that their sum never changes, but for the moment between
//! taking from one and giving to the other. A journal beside them says what is being moved. One process, which is this program
//! again with the bank's *name* as its argument, is killed by SIGKILL just at that moment. The kernel knows that it is gone:
//! the next to lock gets the lock, and with it the news (`LockError::OwnerDied`). It finishes what the journal says and
//! calls `recover`; those who come later find nothing wrong.

use shmtypes::{LockError, MutexGuard, ShmBox, ShmEvent, ShmLayout, ShmMutex};
use std::error::Error;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const ACCOUNTS: usize = 4;
const AT_FIRST: i64 = 1_000;
/// How long to wait for anything at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the lock protects.
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Books {
    accounts: [i64; ACCOUNTS],
    /// What is being moved, and nothing if `amount` is 0.
    journal: Transfer,
}

#[derive(ShmLayout, Clone, Copy, Debug)]
#[repr(C)]
struct Transfer {
    amount: i64,
    from: u32,
    to: u32,
    /// What the two accounts will hold when it is done: enough to finish it, however far it got.
    from_after: i64,
    to_after: i64,
}

/// What all processes share.
#[derive(ShmLayout)]
#[repr(C)]
struct Bank {
    books: ShmMutex<Books>,
    /// Told when a process is in the middle of a transfer.
    halfway: ShmEvent,
    unused: [u8; 4],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [] => run(),
        ["--stop-halfway", name] => work(name, true),
        ["--work", name] => work(name, false),
        _ => Err("usage: crash".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    let bank = ShmBox::<Bank>::create()?;
    let view = bank.view();
    view.books().lock().map_err(shmtypes::Error::from)?.update(|books| books.accounts = [AT_FIRST; ACCOUNTS])?;
    println!("{ACCOUNTS} accounts with {AT_FIRST} each, in {:?}.", bank.name());

    let seen = view.halfway().count();
    let mut victim = Worker::start("--stop-halfway", bank.name())?;
    view.halfway().wait_changed(seen, PATIENCE)?;
    // It is alive: nothing is taken from it, and who does not want to wait is told who it is.
    match view.books().lock_until(Duration::from_millis(50)) {
        Err(LockError::TimedOut(holder)) if holder.pid == victim.id() => {
            println!(
                "Process {} has the lock, in slot {}, and is in the middle of a transfer.",
                holder.pid, holder.slot
            );
        }
        other => return Err(format!("the lock should be held: {other:?}").into()),
    }

    match victim.kill()? {
        Some(signal) => println!("It was killed by signal {signal}. Another process goes on in its place."),
        None => return Err("it was to be killed".into()),
    }
    Worker::start("--work", bank.name())?.end()?;

    let start = Instant::now();
    let books = view.books().lock().map_err(shmtypes::Error::from)?.get()?;
    let sum: i64 = books.accounts.iter().sum();
    println!("After it, this process takes the lock within {:?}, and finds nothing wrong:", start.elapsed());
    println!("accounts {:?}, together {sum}.", books.accounts);
    if sum == AT_FIRST * ACCOUNTS as i64 { Ok(()) } else { Err("money was lost".into()) }
}

/// A worker: moves money, and stops in the middle of it if it is to be killed there.
fn work(name: &str, stop_halfway: bool) -> Result {
    let bank = ShmBox::<Bank>::open(name)?;
    let view = bank.view();
    let mut books = match view.books().lock() {
        Ok(guard) => guard,
        Err(LockError::OwnerDied(guard) | LockError::Poisoned(guard)) => repair(guard)?,
        Err(other) => return Err(shmtypes::Error::from(other).into()),
    };
    let accounts = books.get()?.accounts;
    let (amount, from, to) = (250, 1_u32, 3_u32);
    let transfer = Transfer { amount, from, to, from_after: accounts[1] - amount, to_after: accounts[3] + amount };
    // The journal is written first, and its amount last: before that, nothing is being moved.
    books.update(|books| books.journal = Transfer { amount: 0, ..transfer })?;
    books.view().journal().amount().set(amount);
    books.view().accounts().at(1).set(transfer.from_after);
    if stop_halfway {
        view.halfway().notify();
        // Until it is killed.
        std::thread::sleep(PATIENCE);
        return Err("nobody has killed it".into());
    }
    books.view().accounts().at(3).set(transfer.to_after);
    books.view().journal().amount().set(0);
    println!("    process {}: moved {amount} from account {from} to account {to}", std::process::id());
    Ok(())
}

/// Finishes what a dead process has begun.
fn repair<'a>(mut books: MutexGuard<'a, Books>) -> Result<MutexGuard<'a, Books>> {
    let Books { accounts, journal } = books.get()?;
    let me = std::process::id();
    println!(
        "    process {me}: told that the holder died; accounts {accounts:?}, together {}",
        accounts.iter().sum::<i64>()
    );
    if journal.amount != 0 {
        let (from, to) = (journal.from as usize, journal.to as usize);
        if from >= ACCOUNTS || to >= ACCOUNTS {
            return Err(format!("the journal is damaged: {journal:?}").into());
        }
        books.update(|books| {
            books.accounts[from] = journal.from_after;
            books.accounts[to] = journal.to_after;
        })?;
        books.view().journal().amount().set(0);
        println!(
            "    process {me}: finished what its journal says: {} from account {from} to account {to}",
            journal.amount
        );
    }
    Ok(books.recover())
}

/// A worker process. Dropping it ends it.
struct Worker(Child);

impl Worker {
    fn start(task: &str, name: &str) -> Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self(Command::new(program).args([task, name]).spawn()?))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it with SIGKILL, and says by which signal it ended.
    fn kill(&mut self) -> Result<Option<i32>> {
        self.0.kill()?;
        Ok(self.0.wait()?.signal())
    }

    fn end(mut self) -> Result {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a worker failed: {status}").into()) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
