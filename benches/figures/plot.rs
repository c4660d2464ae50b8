//! Small plots side by side in one SVG, each with both axes logarithmic: what is proportional is a straight line.

use std::path::Path;

use plotters::prelude::*;

use super::curve::thousands;
use super::table::digits;

/// One of them.
pub struct Panel {
    pub title: String,
    /// How many there are, and what that costs.
    pub points: Vec<(f64, f64)>,
}

const ACROSS: usize = 4;
const WIDTH: u32 = 330;
const HEIGHT: u32 = 240;
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const GREY: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Draws all into a file.
pub fn write(path: &Path, panels: &[Panel]) {
    let down = panels.len().div_ceil(ACROSS);
    let root = SVGBackend::new(path, (WIDTH * ACROSS as u32, HEIGHT * down as u32)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    for (area, panel) in root.split_evenly((down, ACROSS)).iter().zip(panels) {
        draw(area, panel);
    }
    root.present().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn draw(area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>, panel: &Panel) {
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 14))
        .margin(10)
        .margin_right(34)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d((decade(panel, |point| point.0)).log_scale(), (decade(panel, |point| point.1)).log_scale())
        .unwrap();
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY)
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|value| thousands(value.round() as usize))
        .y_label_formatter(&|value| if *value >= 1.0 { thousands(value.round() as usize) } else { format!("{value}") })
        .draw()
        .unwrap();
    chart.draw_series(LineSeries::new(panel.points.iter().copied(), BLUE.stroke_width(2))).unwrap();
    let marks = panel.points.iter().map(|at| {
        let value = Text::new(digits(at.1), (-12, -18), ("sans-serif", 11));
        EmptyElement::at(*at) + Circle::new((0, 0), 3, BLUE.filled()) + value
    });
    chart.draw_series(marks).unwrap();
}

/// From the power of ten below the least value to that above the largest.
fn decade(panel: &Panel, of: fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
    let values = || panel.points.iter().map(of);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let (below, above) = (least.log10().floor(), most.log10().ceil());
    // A value that is a power of ten itself is not drawn on the border's line alone.
    10f64.powf(below)..10f64.powf(above.max(below + 1.0))
}
