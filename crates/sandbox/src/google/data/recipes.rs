//! Texts for a kitchen's documents: recipes with quantities and steps, one like no other.

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;

const STYLES: [&str; 10] = [
    "Roasted",
    "Braised",
    "Grilled",
    "Smoked",
    "Poached",
    "Crispy",
    "Spiced",
    "Pickled",
    "Slow-cooked",
    "Charred",
];
const MAINS: [&str; 14] = [
    "Leek",
    "Cod",
    "Lamb Shoulder",
    "Beetroot",
    "Cauliflower",
    "Chicken Thigh",
    "Aubergine",
    "Pork Belly",
    "Trout",
    "Celeriac",
    "Mushroom",
    "Duck Leg",
    "Pumpkin",
    "Jalapeño",
];
const FORMS: [&str; 8] = [
    "Soup",
    "Tart",
    "Salad",
    "Risotto",
    "Stew",
    "Gratin",
    "Pie",
    "with Crème Fraîche",
];
const GOODS: [(&str, &str, u32, u32); 20] = [
    ("g", "butter", 20, 250),
    ("g", "plain flour", 50, 800),
    ("ml", "whole milk", 100, 1500),
    ("ml", "double cream", 50, 600),
    ("g", "shallots", 50, 400),
    ("cloves", "garlic", 1, 8),
    ("ml", "olive oil", 15, 120),
    ("g", "Parmesan", 30, 250),
    ("", "eggs", 1, 12),
    ("g", "caster sugar", 20, 400),
    ("tsp", "sea salt", 1, 4),
    ("sprigs", "thyme", 2, 10),
    ("ml", "vegetable stock", 200, 2500),
    ("g", "carrots", 100, 900),
    ("g", "potatoes", 200, 2500),
    ("tbsp", "white wine vinegar", 1, 6),
    ("g", "cherry tomatoes", 100, 700),
    ("g", "walnuts", 40, 200),
    ("bunch", "flat parsley", 1, 3),
    ("g", "lentils", 100, 700),
];
const STEPS: [&str; 10] = [
    "Heat the oven to {t} °C and line a tray.",
    "Sweat the shallots and garlic in the butter for {m} minutes without colour.",
    "Season, add the stock and simmer for {m} minutes.",
    "Roast for {m} minutes, turning once.",
    "Whisk the eggs with the cream and pass through a sieve.",
    "Rest for {m} minutes before portioning.",
    "Blend until smooth and check the seasoning.",
    "Fold in the cheese off the heat.",
    "Chill for at least {m} minutes.",
    "Finish with the herbs and a little oil.",
];

/// The name of a dish.
pub(super) fn dish(rng: &mut Xoshiro256PlusPlus) -> String {
    let mut word = |words: &[&'static str]| words.choose(rng).copied().unwrap_or_default();
    format!("{} {} {}", word(&STYLES), word(&MAINS), word(&FORMS))
}

/// A recipe: title, yield, allergens, ingredients, method.
pub(super) fn recipe(name: &str, rng: &mut Xoshiro256PlusPlus) -> String {
    let mut text = format!("{name}\n\nServes: {}\n", rng.random_range(2..=24));
    text.push_str(&format!(
        "Preparation: {} min\nCooking: {} min\n\nIngredients\n",
        5 * rng.random_range(1..=9),
        5 * rng.random_range(2..=36)
    ));
    let count = rng.random_range(6..=12);
    for (unit, good, least, most) in GOODS.sample(rng, count).copied() {
        let quantity = rng.random_range(least..=most);
        let unit = if unit.is_empty() {
            String::new()
        } else {
            format!(" {unit}")
        };
        text.push_str(&format!("- {quantity}{unit} {good}\n"));
    }
    text.push_str("\nMethod\n");
    let steps = rng.random_range(4..=8);
    for n in 1..=steps {
        let step = STEPS.choose(rng).copied().unwrap_or_default();
        let step = step
            .replace("{t}", &(10 * rng.random_range(14..=24)).to_string())
            .replace("{m}", &rng.random_range(3..=55).to_string());
        text.push_str(&format!("{n}. {step}\n"));
    }
    text
}

/// A sheet of prices, as comma-separated lines.
pub(super) fn price_list(rng: &mut Xoshiro256PlusPlus) -> String {
    let mut text = "Ingredient,Unit,Price\n".to_owned();
    for (unit, good, _, _) in GOODS {
        let cents = rng.random_range(40..2500);
        text.push_str(&format!(
            "{good},{unit},{}.{:02}\n",
            cents / 100,
            cents % 100
        ));
    }
    text
}
