//! `tributary functions`: all of them, or one with its options.

use crate::support::binary::{Site, functions};
use std::error::Error;

type Tested = Result<(), Box<dyn Error>>;

#[test]
fn one_function_is_shown_with_the_types_defaults_and_meanings_of_its_options() -> Tested {
    let site = Site::new()?;
    let expected = "\
create_file_sink(name, path [, {format = \"json\", append = true, sync = false}])
    a sink that appends each event as a line to a file; `append = false` overwrites the file
name: string
    the name of the node
path: string
    the path of the file
options?: table
    append?: boolean
        whether the content of the file is kept; false overwrites it (default true)
    sync?: boolean
        whether each batch is synced to the disk (default false)
    format?: \"json\"|\"text\"|\"bytes\"|\"csv\"|\"logfmt\"
        what is written (default \"json\")
    columns?: string[]
        csv: the fields that are written (default: those of the first event)
    header?: boolean
        csv: whether the names of the columns come first (default true)
    delimiter?: string
        csv: the character between values (default \",\")
    quote?: string
        csv: the character around values; \"\" for none (default '\"')
    template?: string
        text: the line, as in \"{data.host}: {data.status}\" (default: the field `message`)
";
    for name in ["create_file_sink", "tb.create_file_sink"] {
        site.call(&["functions", name])?.expect(0, expected, "");
    }
    let batch = site.call(&["functions", "create_batch"])?.stdout;
    for option in [
        "count?: integer",
        "bytes?: integer",
        "time?: string",
        "key?: string|string[]",
    ] {
        assert!(batch.contains(option), "{option} is not in {batch}");
    }
    let map = site.call(&["functions", "create_map"])?.stdout;
    assert!(
        map.contains("f: fun(event: Event): Event|table|string|nil\n"),
        "{map}"
    );
    Ok(())
}

#[test]
fn the_options_of_each_connector_are_named() -> Tested {
    let site = Site::new()?;
    let sinks = site.call(&["functions", "create_sink"])?.stdout;
    assert!(
        sinks.contains("    exec: args, parallel, timeout\n"),
        "{sinks}"
    );
    assert!(sinks.contains("    stdout: none\n"), "{sinks}");
    let sources = site.call(&["functions", "create_source"])?.stdout;
    assert!(sources.contains("    exec: args, restart\n"), "{sources}");
    Ok(())
}

#[test]
fn a_function_that_there_is_not_is_an_error_with_the_nearest_one() -> Tested {
    let site = Site::new()?;
    let done = site.call(&["functions", "create_bach"])?;
    done.expect(
        2,
        "",
        "tributary: no function \"create_bach\"\n  hint: did you mean \"create_batch\"?\n",
    );
    assert_eq!(site.call(&["functions", "nothing_like_it"])?.code, Some(2));
    Ok(())
}

#[test]
fn every_function_can_be_shown() -> Tested {
    let site = Site::new()?;
    for function in functions(&[])? {
        let done = site.call(&["functions", &function.name])?;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stdout.starts_with(&format!("{}(", function.name)));
    }
    Ok(())
}
