//! The table.

use crate::measure::{Log, Ratio};
use std::fmt::Write;

/// What a row promises.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At most so many times the reference's time.
    AtMost(f64),
    /// At least so many times the reference's speed.
    AtLeast(f64),
    /// At least `must` times the reference's speed, by the medians of both; and what would be better still.
    TimesFaster { must: f64, aim: f64 },
    /// Nothing: the row is there for comparison.
    Shown,
}

/// The name under which every group logs its reference, and the second one for the null control.
pub(crate) const REFERENCE: &str = "reference";
pub(crate) const NULL: &str = "null control";

#[derive(Default)]
pub(crate) struct Report {
    rows: String,
    notes: String,
    group: &'static str,
    missed: u32,
}

impl Report {
    pub(crate) fn start() -> Self {
        println!("{}", machine());
        println!("Load average at the start: {}\n", load());
        Self::default()
    }

    pub(crate) fn begin(&mut self, group: &'static str) {
        self.group = group;
    }

    /// A row of `case` against the log's reference.
    pub(crate) fn row(&mut self, what: &str, target: Target, log: &Log, case: &str) {
        self.row_against(what, target, log, case, REFERENCE, NULL);
    }

    /// A row of `case` against a reference, with the null control of that.
    pub(crate) fn row_against(
        &mut self,
        what: &str,
        target: Target,
        log: &Log,
        case: &str,
        reference: &str,
        null: &str,
    ) {
        let ratio = log.ratio(case, reference);
        let null = log.ratio(null, reference).median;
        let times = format!("{} / {}", duration(ratio.time), duration(ratio.reference_time));
        let (target_text, median, best, met) = match target {
            Target::AtMost(limit) => (format!("≤ {limit} ×"), ratio.median, ratio.best, Some(ratio.median <= limit)),
            Target::AtLeast(limit) => {
                let Ratio { median, best, .. } = ratio;
                (format!("≥ {limit} × faster"), 1.0 / median, 1.0 / best, Some(1.0 / median >= limit))
            }
            Target::TimesFaster { must, aim } => {
                let faster = ratio.times_faster();
                (format!("≥ {must} × faster (aim {aim})"), faster, 1.0 / ratio.best, Some(faster >= must))
            }
            Target::Shown => ("–".to_owned(), ratio.median, ratio.best, None),
        };
        let null = if null.is_nan() { "–".to_owned() } else { format!("{null:.2}") };
        self.line(what, &target_text, &format!("{median:.2}"), &format!("{best:.2}"), &null, &times, met);
    }

    /// A row that is a count.
    pub(crate) fn count(&mut self, what: &str, target: &str, measured: &str, met: bool) {
        self.line(what, target, measured, "–", "–", "–", Some(met));
    }

    /// A row that could not be measured.
    pub(crate) fn absent(&mut self, what: &str, why: &str) {
        self.line(what, "–", &format!("not measured: {why}"), "–", "–", "–", None);
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of the table")]
    fn line(&mut self, what: &str, target: &str, median: &str, best: &str, null: &str, times: &str, met: Option<bool>) {
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "–",
        };
        self.missed += u32::from(met == Some(false));
        let group = self.group;
        let row = format!("| {group} | {what} | {target} | {median} | {best} | {null} | {times} | {verdict} |");
        eprintln!("{row}");
        self.rows += &row;
        self.rows.push('\n');
    }

    /// A text below the table, such as a table of its own.
    pub(crate) fn note(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.notes, "\n{text}");
    }

    pub(crate) fn finish(self) {
        println!("| group | what | target | median | best | null control | time / reference | |");
        println!("|---|---|---|---|---|---|---|---|");
        print!("{}", self.rows);
        println!("{}", self.notes);
        println!("Load average at the end: {}. Targets missed: {}.", load(), self.missed);
    }
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns.is_nan() => "–".to_owned(),
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

/// What the figures depend on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let features: Vec<&str> = [("avx512f", cfg!(target_feature = "avx512f")), ("avx2", cfg!(target_feature = "avx2"))]
        .into_iter()
        .filter_map(|(name, on)| on.then_some(name))
        .collect();
    format!(
        "Processor: {} (family {}, model {}), {count} visible. Kernel: {}. Compiled with: {}. shmem_enabled: {}.",
        field("model name"),
        field("cpu family"),
        field("model\t"),
        read("/proc/sys/kernel/osrelease").trim(),
        if features.is_empty() { "the default target".to_owned() } else { features.join(", ") },
        read("/sys/kernel/mm/transparent_hugepage/shmem_enabled").trim(),
    )
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
