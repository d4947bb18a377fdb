// Browsers without modules run this, and only this: it is written for them.
document.getElementById("old").hidden = false;
document.getElementById("late").hidden = true;
