// Keys that work everywhere outside of fields: `/` goes to the look-up.

export function keys(signal) {
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const field = document.getElementById("look-up-id");
    if (field) {
      field.focus();
      field.select();
    } else {
      location.hash = "#/look-up";
    }
  }, { signal });
}
