//! `gradus run`.

use crate::USAGE;
use crate::args::RunArgs;
use crate::output;
use gradus::report::series::Plot;
use gradus::report::{Style, plot_svg};
use gradus::{Emit, Event, Printer, Sources};
use std::io::{BufWriter, Stdout, Write};
use std::path::PathBuf;

pub fn run(args: RunArgs, out: Style, err: Style) -> u8 {
    if let Some(dir) = &args.plots
        && let Err(e) = std::fs::create_dir_all(dir)
    {
        eprintln!("gradus: the folder `{}` could not be made: {e}", dir.display());
        return 1;
    }
    let Some(mut session) = output::session(&args.session) else { return USAGE };
    let mut code = 0;
    let mut outcomes = Vec::new();
    // With JSON on the standard output nothing else may stand there.
    let to_json = args.json.as_ref().is_some_and(|p| p.as_os_str() == "-");
    for path in &args.files {
        let Some(script) = output::open(&mut session, path) else {
            code = output::worse(code, 1);
            continue;
        };
        let mut emit = Console::new(&args, out, to_json);
        let outcome = session.run(script, &mut emit);
        emit.finish();
        output::complain(&outcome.diagnostics, session.sources(), err);
        if outcome.status == gradus::Status::Interrupted {
            eprintln!("interrupted");
        }
        if args.timings {
            output::timings(&outcome.timings);
        }
        code = output::worse(code, outcome.status.exit_code());
        if emit.failed {
            code = output::worse(code, 1);
        }
        let stop = outcome.status == gradus::Status::Interrupted;
        outcomes.push((path.display().to_string(), outcome));
        if stop {
            break;
        }
    }
    if let Some(path) = &args.json
        && !output::write(path, &output::json(&outcomes, &session, args.session.seed, args.session.precision))
    {
        code = output::worse(code, 1);
    }
    code
}

/// Prints to the standard output, and plots there or into a folder.
struct Console {
    printer: Printer<BufWriter<Stdout>>,
    silent: bool,
    plots: Option<PathBuf>,
    count: usize,
    failed: bool,
}

impl Console {
    fn new(args: &RunArgs, style: Style, silent: bool) -> Console {
        let mut printer = Printer::new(BufWriter::new(std::io::stdout()), style);
        printer.quiet = args.quiet;
        printer.plots = args.plots.is_none();
        Console { printer, silent, plots: args.plots.clone(), count: 0, failed: false }
    }

    fn finish(&mut self) {
        let _ = self.printer.out.flush();
    }

    fn draw(&mut self, plot: &Plot, dir: PathBuf, sources: &Sources, file: gradus::FileId) {
        self.count += 1;
        let script = sources.name(file);
        let stem = std::path::Path::new(&script).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let path = dir.join(format!("{stem}-{}.svg", self.count));
        match std::fs::write(&path, plot_svg::render(plot)) {
            Ok(()) if !self.silent => {
                let _ = writeln!(self.printer.out, "plot: {}", path.display());
            }
            Ok(()) => {}
            Err(e) => {
                eprintln!("gradus: `{}` could not be written: {e}", path.display());
                self.failed = true;
            }
        }
    }
}

impl Emit for Console {
    fn event(&mut self, event: &Event, sources: &Sources) {
        if let (Event::Plot { items, settings, span }, Some(dir)) = (event, self.plots.clone()) {
            // A plot that cannot be drawn is a diagnostic of the run.
            if let Ok(plot) = Plot::new(items, settings, *span) {
                self.draw(&plot, dir, sources, span.file);
            }
        }
        if !self.silent {
            self.printer.event(event, sources);
            // What a long run has found shows at once.
            let _ = self.printer.out.flush();
        }
    }
}
