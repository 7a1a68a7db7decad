/* Sets the chosen theme before the first paint; loaded as a classic script in the head. */
;(function () {
  try {
    var theme = localStorage.getItem('parley.theme')
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
  } catch (_) {
    /* Storage is refused in some private windows: the system's theme stands. */
  }
})()
