//! Pictures of cost, drawn on the server as SVG, for light and for dark pages. Colours only; no script and no style sheet,
//! so that the strictest page may hold them. Texts are not measured with a font: none is needed to build or to run.

use super::cost::{Daily, Sum, dollars};
use crate::model::Time;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Which page it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

struct Colours {
    text: RGBColor,
    grid: RGBColor,
    cost: RGBColor,
    saved: RGBColor,
}

impl Theme {
    fn colours(self) -> Colours {
        match self {
            Theme::Light => Colours {
                text: RGBColor(0x3c, 0x44, 0x50),
                grid: RGBColor(0xe1, 0xe5, 0xea),
                cost: RGBColor(0x2f, 0x6f, 0xde),
                saved: RGBColor(0x1a, 0x8f, 0x5f),
            },
            Theme::Dark => Colours {
                text: RGBColor(0xc3, 0xcb, 0xd6),
                grid: RGBColor(0x2c, 0x34, 0x40),
                cost: RGBColor(0x6c, 0xa2, 0xff),
                saved: RGBColor(0x4c, 0xc9, 0x94),
            },
        }
    }
}

const WIDTH: u32 = 720;
const BAR: u32 = 28;
const FONT: &str = "system-ui, sans-serif";
/// Owners in one picture; the rest are one bar.
const OWNERS: usize = 12;

type Drawn = Result<String, Box<dyn std::error::Error + Send + Sync>>;

/// What was spent and what was saved, a pair of bars a day.
pub fn per_day(daily: &Daily, theme: Theme) -> Drawn {
    let (days, colours) = (daily.days(), theme.colours());
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 260)).into_drawing_area();
        let count = i32::try_from(days.len())?.max(1);
        let most = days.iter().map(|(_, sum)| sum.cost.max(sum.saved)).max().unwrap_or(0);
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..f64::from(count), 0.0..axis(most))
            .map_err(failed)?;
        let label = |at: &f64| label_of(&days, *at);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(colours.grid)
            .axis_style(colours.grid)
            .x_labels(8)
            .x_label_formatter(&label)
            .y_labels(5)
            .y_label_formatter(&|value| money(*value))
            .label_style((FONT, 12).into_font().color(&colours.text))
            .draw()
            .map_err(failed)?;
        for (at, (_, sum)) in (0_i32..).zip(&days) {
            let left = f64::from(at);
            let bars = [(left + 0.12, sum.cost, colours.cost), (left + 0.52, sum.saved, colours.saved)];
            for (left, micros, colour) in bars.into_iter().filter(|(_, micros, _)| *micros > 0) {
                let bar = Rectangle::new([(left, 0.0), (left + 0.36, in_dollars(micros))], colour.filled());
                chart.draw_series([bar]).map_err(failed)?;
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(named(&svg, "Cost and savings a day", theme))
}

/// What each owner spent, the most expensive first.
pub fn per_owner(owners: &[(String, Sum)], theme: Theme) -> Drawn {
    let colours = theme.colours();
    let rows = rows(owners);
    let height = BAR * u32::try_from(rows.len().max(1))? + 16;
    let most = rows.iter().map(|(_, sum)| sum.cost).max().unwrap_or(0);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let style = |horizontal| (FONT, 13).into_font().color(&colours.text).pos(Pos::new(horizontal, VPos::Center));
        for (at, (owner, sum)) in (0_u32..).zip(&rows) {
            let top = i32::try_from(8 + BAR * at)?;
            let middle = top + 14;
            let short: String = owner.chars().take(22).collect();
            area.draw(&Text::new(short, (150, middle), style(HPos::Right))).map_err(failed)?;
            let wide = 160 + share(sum.cost, most);
            area.draw(&Rectangle::new([(160, top + 5), (wide, top + 23)], colours.cost.filled())).map_err(failed)?;
            let unknown = if sum.unknown_seconds > 0 { " + unknown" } else { "" };
            let told = format!("{}{unknown}", dollars(sum.cost));
            area.draw(&Text::new(told, (wide + 8, middle), style(HPos::Left))).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(named(&svg, "Cost by owner", theme))
}

/// The most expensive owners, and the others as one.
fn rows(owners: &[(String, Sum)]) -> Vec<(String, Sum)> {
    if owners.len() <= OWNERS {
        return owners.to_vec();
    }
    let (shown, others) = owners.split_at(OWNERS - 1);
    let mut rest = Sum::default();
    for (_, sum) in others {
        rest.cost = rest.cost.saturating_add(sum.cost);
        rest.unknown_seconds += sum.unknown_seconds;
    }
    let mut rows = shown.to_vec();
    rows.push((format!("{} others", others.len()), rest));
    rows
}

/// Pixels of a bar; at least one, so that little is not nothing.
fn share(micros: u64, most: u64) -> i32 {
    let room = 400_u128;
    let wide = (u128::from(micros) * room).checked_div(u128::from(most)).unwrap_or(0).max(1);
    i32::try_from(wide).unwrap_or(400)
}

/// `20 Nov` at the middle of a day; nothing between days.
fn label_of(days: &[(Time, Sum)], at: f64) -> String {
    let found = (0_i32..).zip(days).find(|(index, _)| (f64::from(*index) - at).abs() < 0.01);
    found.map(|(_, (day, _))| day.timestamp().strftime("%-d %b").to_string()).unwrap_or_default()
}

/// A little more than the most, and never nothing: an axis needs a length.
fn axis(most: u64) -> f64 {
    (in_dollars(most) * 1.1).max(0.01)
}

#[expect(clippy::cast_precision_loss, reason = "a picture")]
fn in_dollars(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn money(dollars: f64) -> String {
    if dollars >= 10.0 || dollars <= 0.0 { format!("${dollars:.0}") } else { format!("${dollars:.2}") }
}

/// For people who do not see it, what it is; numbers stand in the table beside it.
fn named(svg: &str, title: &str, theme: Theme) -> String {
    let word = if theme == Theme::Dark { "dark" } else { "light" };
    svg.replacen("<svg ", &format!("<svg role=\"img\" data-theme=\"{word}\" aria-label=\"{title}\" "), 1).replacen(
        '>',
        &format!("><title>{title}</title>"),
        1,
    )
}

fn failed(why: impl std::error::Error) -> Box<dyn std::error::Error + Send + Sync> {
    why.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::{Theme, per_day, per_owner};
    use crate::model::{State, Time};
    use crate::web::cost::{Daily, Life, Rate, Step, Sum};

    fn daily() -> Daily {
        let at = |text: &str| Time::parse(text).unwrap();
        let rate = Rate { running: Some(2_500_000), volumes: Some(10_000) };
        let step = |when: &str, state| Step { at: at(when), owner: "lin".to_owned(), state };
        let steps = vec![step("2026-11-10T00:00:00Z", State::Active), step("2026-11-18T06:00:00Z", State::Stopped)];
        let life = Life { rate, first_seen: at("2026-11-10T00:00:00Z"), steps, ended_by_us: true };
        Daily::of(&[life], at("2026-11-23T12:00:00Z"), 14)
    }

    #[test]
    fn a_picture_is_one_svg_in_the_colours_of_its_page_without_script_or_style() {
        for (theme, ink) in [(Theme::Light, "#2F6FDE"), (Theme::Dark, "#6CA2FF")] {
            let svg = per_day(&daily(), theme).unwrap();
            assert!(svg.contains(ink) && svg.contains("<title>Cost and savings a day</title>"), "{svg}");
            assert!(svg.contains("10 Nov") || svg.contains("11 Nov") || svg.contains("12 Nov"), "{svg}");
            assert!(!svg.contains("<script") && !svg.contains("<style") && !svg.contains("style=\""), "{svg}");
        }
        assert_ne!(per_day(&daily(), Theme::Light).unwrap(), per_day(&daily(), Theme::Dark).unwrap());
    }

    #[test]
    fn names_are_escaped_many_owners_are_gathered_and_none_is_no_fault() {
        let sum = |cost| Sum { cost, saved: 0, unknown_seconds: 0 };
        let svg = per_owner(&[("<b>&".to_owned(), sum(5_000_000))], Theme::Light).unwrap();
        assert!(!svg.contains("<b>") && svg.contains("&lt;b&gt;&amp;") && svg.contains("$5.00"), "{svg}");
        let many: Vec<_> = (0..30).map(|n| (format!("user-{n}"), sum(1_000_000))).collect();
        let svg = per_owner(&many, Theme::Dark).unwrap();
        assert!(svg.contains("19 others") && svg.contains("$19.00") && !svg.contains("user-12"), "{svg}");
        assert!(per_owner(&[], Theme::Light).unwrap().starts_with("<svg"));
    }
}
