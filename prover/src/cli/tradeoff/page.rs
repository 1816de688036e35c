//! The report: one HTML file with its plots inside.

use super::super::error::CliError;
use super::super::options::megabytes;
use super::row::{Row, goal_name};
use plotters::prelude::*;
use std::fmt::Write as _;

/// Width and height of a plot in pixels.
const PLOT: (u32, u32) = (560, 380);
const CHOSEN: RGBColor = RGBColor(196, 60, 40);
const FRONT: RGBColor = RGBColor(30, 90, 170);
const OTHER: RGBColor = RGBColor(150, 150, 150);

/// What a plot shows against the size of the proof.
struct Axis {
    title: &'static str,
    label: &'static str,
    value: fn(&Row) -> Option<f64>,
}

const AXES: [Axis; 4] = [
    Axis {
        title: "Prover time",
        label: "processor seconds",
        value: |row| Some(row.time_ms() / 1e3),
    },
    Axis {
        title: "Memory of the prover",
        label: "MB at the peak",
        value: |row| Some(megabytes(row.memory())),
    },
    Axis {
        title: "Proving key",
        label: "MB",
        value: |row| Some(megabytes(row.key_bytes())),
    },
    Axis {
        title: "Verifier time",
        label: "milliseconds",
        value: |row| row.measured.map(|m| m.verify_ms),
    },
];

/// The page.
pub(super) fn html(model: &str, rows: &[Row]) -> Result<String, CliError> {
    let mut plots = String::new();
    for axis in &AXES {
        plots.push_str(&plot(axis, rows)?);
    }
    let measured = rows.iter().any(|r| r.measured.is_some());
    let batch = match rows.first() {
        Some(row) if row.batch > 1 => format!(" {} inferences in one proof.", row.batch),
        _ => String::new(),
    };
    let note = if measured {
        "Each plan proved once, in a process of its own, with its keys in files; processor time and memory are those of the whole process."
    } else {
        "Estimates of the cost model; nothing was proved."
    };
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Proof size against time</title>\n\
         <style>body{{font:15px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}}\
         table{{border-collapse:collapse;margin-top:1rem}}td,th{{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #ddd}}\
         .plots{{display:flex;flex-wrap:wrap;gap:1rem}}.chosen{{color:#c43c28;font-weight:bold}}.front{{color:#1e5aaa}}</style></head>\n\
         <body><h1>Proof size against time</h1><p>Model <code>{}</code>.{batch} {note} \
         <span class=\"chosen\">Red</span>: the plan that is taken by default. \
         <span class=\"front\">Blue</span>: no plan has both a smaller proof and a faster prover.</p>\n\
         <div class=\"plots\">{plots}</div>\n{}</body></html>\n",
        escape(model),
        table(rows)
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "<table><tr><th>k</th><th>lanes</th><th>--optimize</th><th>proof bytes</th><th>time s</th><th>estimated s</th>\
         <th>memory MB</th><th>estimated MB</th><th>proving key MB</th><th>verifying key bytes</th><th>verify ms</th>\
         <th>proof bytes per inference</th><th>time s per inference</th><th>verify ms per inference</th></tr>\n",
    );
    for row in rows {
        let class = match (row.chosen, row.on_front) {
            (true, _) => "chosen",
            (false, true) => "front",
            (false, false) => "",
        };
        let measured = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let m = row.measured;
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "<tr class=\"{class}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{:.0}</td>\
             <td>{:.1}</td><td>{}</td><td>{}</td><td>{:.0}</td><td>{:.3}</td><td>{}</td></tr>",
            row.k,
            row.lanes,
            goal_name(row.goal),
            row.proof_bytes,
            measured(m.map(|m| format!("{:.2}", m.process_cpu_ms / 1e3))),
            row.cpu_ms / 1e3,
            measured(m.map(|m| format!("{:.0}", megabytes(m.peak_bytes)))),
            megabytes(row.peak_bytes),
            megabytes(row.key_bytes()),
            measured(m.map(|m| m.vk_bytes.to_string())),
            measured(m.map(|m| format!("{:.1}", m.verify_ms))),
            row.byte_share(),
            row.share(row.time_ms()) / 1e3,
            measured(m.map(|m| format!("{:.3}", row.share(m.verify_ms)))),
        );
    }
    table.push_str("</table>\n");
    table
}

/// Largest value with some room above it.
fn room(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max).max(1e-3) * 1.12
}

fn plot(axis: &Axis, rows: &[Row]) -> Result<String, CliError> {
    let size = |row: &Row| f64::from(u32::try_from(row.proof_bytes).unwrap_or(u32::MAX));
    let mut points: Vec<(f64, f64, &Row)> = rows
        .iter()
        .filter_map(|row| (axis.value)(row).map(|value| (size(row), value, row)))
        .collect();
    if points.is_empty() {
        return Ok(String::new());
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut svg = String::new();
    draw(axis, &points, &mut svg).map_err(|reason| CliError::Plot { reason })?;
    Ok(svg)
}

fn draw(axis: &Axis, points: &[(f64, f64, &Row)], svg: &mut String) -> Result<(), String> {
    let text = |e: DrawingAreaErrorKind<_>| e.to_string();
    let area = SVGBackend::with_string(svg, PLOT).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let (right, top) = (room(points.iter().map(|p| p.0)), room(points.iter().map(|p| p.1)));
    let left = points.iter().map(|p| p.0).fold(right, f64::min) * 0.8;
    let mut chart = ChartBuilder::on(&area)
        .caption(axis.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(left..right, 0.0..top)
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("proof bytes")
        .y_desc(axis.label)
        .light_line_style(RGBColor(240, 240, 240))
        .x_labels(8)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()
        .map_err(text)?;
    let front = points.iter().filter(|p| p.2.on_front).map(|p| (p.0, p.1));
    chart
        .draw_series(LineSeries::new(front, FRONT.stroke_width(1)))
        .map_err(text)?;
    let dot = |(x, y, row): &(f64, f64, &Row)| {
        let color = match (row.chosen, row.on_front) {
            (true, _) => CHOSEN,
            (false, true) => FRONT,
            (false, false) => OTHER,
        };
        let name = format!("k {} L {}", row.k, row.lanes);
        EmptyElement::at((*x, *y))
            + Circle::new((0, 0), 4, color.filled())
            + Text::new(name, (6, -12), ("sans-serif", 11))
    };
    chart.draw_series(points.iter().map(dot)).map_err(text)?;
    area.present().map_err(text)
}

#[cfg(test)]
mod tests {
    use super::super::mark_front;
    use super::super::row::Measured;
    use super::*;
    use inferproof_circuits::plan::Optimize;

    fn row(k: u32, proof_bytes: u64, cpu_ms: f64) -> Row {
        Row {
            batch: 4,
            k,
            lanes: 1,
            limb_split: 1,
            goal: Optimize::Time,
            proof_bytes,
            pk_bytes: 1 << 20,
            cpu_ms,
            peak_bytes: 1 << 21,
            measured: None,
            chosen: k == 10,
            on_front: false,
        }
    }

    #[test]
    fn plans_that_are_beaten_are_not_on_the_front() {
        let mut rows = [
            row(10, 3000, 50.0),
            row(11, 2000, 80.0),
            row(12, 2500, 90.0),
            row(13, 2000, 80.0),
        ];
        mark_front(&mut rows);
        assert_eq!(rows.map(|r| r.on_front), [true, true, false, true]);
    }

    #[test]
    fn page_is_whole_and_escaped() {
        let mut rows = [row(10, 3000, 50.0), row(11, 2000, 80.0)];
        mark_front(&mut rows);
        let page = html("a<b>.onnx", &rows).unwrap();
        assert!(page.contains("a&lt;b&gt;.onnx") && !page.contains("a<b>"));
        assert_eq!(page.matches("<svg").count(), 3, "verifier time is not known");
        rows[0].measured = Some(Measured {
            prove_cpu_ms: 40.0,
            process_cpu_ms: 50.0,
            prove_ms: 30.0,
            verify_ms: 3.0,
            peak_bytes: 1 << 22,
            proof_bytes: 3000,
            pk_bytes: 1 << 20,
            vk_bytes: 900,
        });
        let page = html("m", &rows).unwrap();
        assert!(page.contains("4 inferences in one proof"));
        // A quarter of 3000 bytes, 50 ms and 3 ms.
        assert!(
            page.contains("<td>750</td><td>0.013</td><td>0.750</td>"),
            "{page}"
        );
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(page.contains("k 10 L 1") && page.ends_with("</html>\n"));
        assert!(
            !page.contains("http:") || page.contains("xmlns"),
            "nothing is fetched"
        );
    }
}
