//! A process that is killed while it reads records of several lines.

use crate::support::binary::Site;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

const ROWS: usize = 3_000;

fn script(format: &str) -> String {
    format!(
        "local tb = require('tributary')
        tb.create_table('records', {{ key = 'id', columns = {{ id = 'integer', note = 'text' }} }})
        tb.create_file_source('in', 'in', {{ {format}, follow = true, checkpoint = 'place' }})
        tb.create_map('record', function(e)
            local d = e.data
            if d.message then
                local id, note = d.message:match('^#(%d+) (.*)$')
                return {{ id = math.tointeger(id), note = note }}
            end
            return d
        end)
        tb.create_sql_sink('out', {{ table = 'records', mode = 'upsert' }})
        tb.create_file_sink('bad', 'bad')
        tb.chain('in', 'record', 'out') tb.link('in.errors', 'bad')"
    )
}

/// Writes the records in parts, kills the process after each, and compares what is stored with what was
/// written.
fn loses_and_doubles_nothing(
    format: &str,
    begin: &str,
    record: impl Fn(usize, &str) -> String,
) -> Result<(), Box<dyn Error>> {
    let site = Site::with(&[("net.lua", &script(format)), ("in", begin)])?;
    let mut file = File::options().append(true).open(site.path("in"))?;
    let note = |id: usize| {
        format!(
            "note {id}\n\n  of \"several\" lines, {}",
            "x".repeat(id % 40)
        )
    };
    for part in 0..6 {
        let mut running = site.start(&["run", "net.lua", "--db", "sqlite:db"])?;
        for id in part * ROWS / 6..(part + 1) * ROWS / 6 {
            let text = record(id, &note(id));
            // The writer flushes wherever it likes.
            let (first, second) = text.as_bytes().split_at(text.len() / 2);
            file.write_all(first)?;
            if id % 100 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
            file.write_all(second)?;
        }
        let saved = || site.path("place").exists();
        running.until("a checkpoint", saved)?;
        if part < 5 {
            running.kill()?;
        } else {
            running.until("the last record", || {
                let many = stored(&site).map(|rows| rows.len());
                many.is_ok_and(|many| many == ROWS)
            })?;
            running.stop()?;
        }
    }
    let expected: Vec<_> = (0..ROWS).map(|id| (id as i64, note(id))).collect();
    assert!(stored(&site)? == expected, "{format}: records were torn");
    assert_eq!(std::fs::read_to_string(site.path("bad"))?, "", "{format}");
    Ok(())
}

/// The records in the database, in order.
fn stored(site: &Site) -> rusqlite::Result<Vec<(i64, String)>> {
    let database = rusqlite::Connection::open(site.path("db"))?;
    let mut query = database.prepare("select id, note from records order by id")?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    query.query_map([], row)?.collect()
}

#[test]
fn csv_with_lines_in_quotes() -> Result<(), Box<dyn Error>> {
    let format = "format = 'csv', types = { id = 'integer' }";
    loses_and_doubles_nothing(format, "id,note\n", |id, note| {
        format!("{id},\"{}\"\n", note.replace('"', "\"\""))
    })
}

#[test]
fn lines_that_belong_together() -> Result<(), Box<dyn Error>> {
    let format = "format = 'text', multiline = { start = '^#[0-9]' }";
    loses_and_doubles_nothing(format, "", |id, note| format!("#{id} {note}\n"))
}
