//! `gradus doc`: the library's pages, or one item of it.

use crate::args::DocArgs;
use crate::output;
use gradus::docs::{self, Format};

pub fn doc(args: &DocArgs) -> u8 {
    if let Some(folder) = &args.out {
        let (format, ending) = if args.html { (Format::Html, "html") } else { (Format::Markdown, "md") };
        let pages = docs::pages(format);
        if let Err(e) = std::fs::create_dir_all(folder) {
            eprintln!("gradus: {}: {e}", folder.display());
            return 1;
        }
        for p in &pages {
            let path = folder.join(format!("{}.{ending}", p.path));
            if let Err(e) = std::fs::write(&path, &p.text) {
                eprintln!("gradus: {}: {e}", path.display());
                return 1;
            }
        }
        output::say(format_args!("{} pages in {}; begin with index.{ending}", pages.len(), folder.display()));
        return 0;
    }
    let all = docs::entries();
    let Some(name) = &args.name else {
        for e in &all {
            output::say(format_args!("{:<9} {:<22} {}", e.word, e.name, e.summary.split(". ").next().unwrap_or("")));
        }
        return 0;
    };
    let found: Vec<_> = all.iter().filter(|e| e.name == *name).collect();
    for e in &found {
        output::say(docs::item(e).trim_end());
    }
    if found.is_empty() {
        eprintln!("gradus: the library has no `{name}`; `gradus doc` lists what it has");
        return 1;
    }
    0
}
