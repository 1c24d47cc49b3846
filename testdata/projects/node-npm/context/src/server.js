console.log("kiosk");
