//! The screen: samples in the middle, what is happening below them.

use std::io;

use ddpm_client::pictures::Picture;
use image::{DynamicImage, GrayImage, RgbImage};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::canvas::{Canvas, Points};
use ratatui::widgets::{Gauge, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use ratatui_image::picker::Picker;
use ratatui_image::protocol::StatefulProtocol;
use ratatui_image::{FilterType, Resize, StatefulImage};

use super::keys::HELP;

/// What is to be seen.
#[derive(Debug)]
pub(super) struct Content {
    /// What is sampled, and how.
    pub(super) title: String,
    /// What is happening.
    pub(super) status: String,
    /// Where the shown step is between noise and data, in [0, 1].
    pub(super) progress: f64,
    /// The same in words.
    pub(super) step: String,
    pub(super) looks: Looks,
}

/// What the samples look like.
#[derive(Debug)]
pub(super) enum Looks {
    /// Nothing has arrived.
    Nothing,
    /// All of them in a grid.
    Picture(Picture),
    /// Points of the plane.
    Points {
        now: Vec<[f32; 2]>,
        /// Where they were in the steps before.
        trail: Vec<[f32; 2]>,
        /// The plane is shown from minus this to this, in both directions.
        bound: f64,
    },
}

/// The terminal while it shows a run. It is put back when this is dropped, and by a panic.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    picker: Picker,
}

impl Screen {
    /// Takes the terminal over, and asks what pictures it can show: those of Kitty, iTerm2 or
    /// Sixel, or else coloured half blocks. One that does not answer loses the first key.
    ///
    /// # Errors
    ///
    /// If it is no terminal.
    pub(super) fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let picker = Picker::from_query_stdio().unwrap_or_else(|_| Picker::halfblocks());
        Ok(Self { terminal, picker })
    }

    /// Shows `content`.
    pub(super) fn show(&mut self, content: &Content) -> io::Result<()> {
        let mut image = image_of(content).map(|image| self.picker.new_resize_protocol(image));
        self.terminal.draw(|frame| draw(frame, content, image.as_mut()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn image_of(content: &Content) -> Option<DynamicImage> {
    let Looks::Picture(picture) = &content.looks else { return None };
    let (width, height, pixels) = (picture.width(), picture.height(), picture.pixels().to_vec());
    match picture.channels() {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    }
}

fn draw(frame: &mut Frame<'_>, content: &Content, image: Option<&mut StatefulProtocol>) {
    let rows = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [title, samples, progress, status, help] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Line::from(content.title.as_str()).centered(), title);
    match (&content.looks, image) {
        (Looks::Points { now, trail, bound }, _) => {
            draw_points(frame, samples, now, trail, *bound);
        }
        (Looks::Picture(_), Some(image)) => {
            // Pixels stay pixels.
            let resize = Resize::Scale(Some(FilterType::Nearest));
            let size = image.size_for(resize.clone(), samples.as_size());
            let area =
                samples.centered(Constraint::Length(size.width), Constraint::Length(size.height));
            frame.render_stateful_widget(StatefulImage::default().resize(resize), area, image);
        }
        _ => {
            let waiting =
                Paragraph::new("waiting for the first step …").alignment(Alignment::Center);
            frame.render_widget(waiting, samples);
        }
    }
    let gauge = Gauge::default()
        .ratio(content.progress.clamp(0.0, 1.0))
        .label(content.step.as_str())
        .gauge_style(Style::new().fg(Color::Cyan).bg(Color::DarkGray));
    frame.render_widget(gauge, progress);
    frame.render_widget(Line::from(content.status.as_str()), status);
    frame.render_widget(Line::from(HELP).style(Style::new().dim()), help);
}

fn draw_points(
    frame: &mut Frame<'_>,
    area: Rect,
    now: &[[f32; 2]],
    trail: &[[f32; 2]],
    bound: f64,
) {
    let both = |points: &[[f32; 2]]| -> Vec<(f64, f64)> {
        points.iter().map(|[x, y]| (f64::from(*x), f64::from(*y))).collect()
    };
    let (now, trail) = (both(now), both(trail));
    // Cells are twice as high as wide: as many of them as make a square.
    let width = area.width.min(area.height.saturating_mul(2));
    let square = area.centered(Constraint::Length(width), Constraint::Length(width.div_ceil(2)));
    let canvas = Canvas::default()
        .marker(Marker::Braille)
        .x_bounds([-bound, bound])
        .y_bounds([-bound, bound])
        .paint(|plane| {
            plane.draw(&Points { coords: &trail, color: Color::DarkGray });
            plane.layer();
            plane.draw(&Points { coords: &now, color: Color::Cyan });
        });
    frame.render_widget(canvas, square);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;

    use super::*;

    fn drawn(looks: Looks) -> Buffer {
        let content = Content {
            title: "glyphs, 4 samples".to_owned(),
            status: "12 evals".to_owned(),
            progress: 0.5,
            step: "step 5 of 10".to_owned(),
            looks,
        };
        let mut terminal = Terminal::new(TestBackend::new(40, 14)).unwrap();
        let mut image =
            image_of(&content).map(|image| Picker::halfblocks().new_resize_protocol(image));
        terminal.draw(|frame| draw(frame, &content, image.as_mut())).unwrap();
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> Vec<String> {
        let rows = buffer.content().chunks(buffer.area.width.into());
        rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
    }

    #[test]
    fn every_line_of_the_screen_says_something() {
        let lines = text(&drawn(Looks::Nothing));
        for (line, want) in [
            (0, "glyphs, 4 samples"),
            (1, "waiting for the first step"),
            (11, "step 5 of 10"),
            (12, "12 evals"),
            (13, "space pause"),
        ] {
            assert!(lines[line].contains(want), "{line}: {}", lines[line]);
        }
    }

    #[test]
    fn a_picture_has_its_own_colours_where_there_is_nothing_better_than_half_blocks() {
        // The left half is red, the right one blue.
        let row = [[255, 0, 0], [0, 0, 255]].concat();
        let picture = Picture::from_pixels(2, 2, 3, row.repeat(2)).unwrap();
        let buffer = drawn(Looks::Picture(picture));
        let colours: Vec<Color> = (0..40).map(|x| buffer[(x, 6)].fg).collect();
        let first = |colour| colours.iter().position(|other| *other == colour);
        let (red, blue) = (first(Color::Rgb(255, 0, 0)), first(Color::Rgb(0, 0, 255)));
        assert!(red.is_some() && red < blue, "{colours:?}");
    }

    #[test]
    fn points_are_where_they_are_and_leave_a_trail() {
        let looks = Looks::Points { now: vec![[-0.9, 0.9]], trail: vec![[0.9, -0.9]], bound: 1.0 };
        let buffer = drawn(looks);
        let find = |colour| {
            let cell = |(x, y): &(u16, u16)| {
                buffer[(*x, *y)].fg == colour && (1..11).contains(y) && *x < 40
            };
            (0..14).flat_map(|y| (0..40).map(move |x| (x, y))).find(cell)
        };
        let (Some(now), Some(trail)) = (find(Color::Cyan), find(Color::DarkGray)) else {
            panic!("{:?}", text(&buffer));
        };
        assert!(now.0 < trail.0 && now.1 < trail.1, "{now:?} {trail:?}");
    }
}
