document.title = "Small, and it runs"
